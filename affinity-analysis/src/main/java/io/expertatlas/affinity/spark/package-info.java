/**
 * The Spark job that counts routes: one job, one pass, dense counts per partition merged by a tree
 * aggregation. The only package of this module that may import Spark.
 */
package io.expertatlas.affinity.spark;
