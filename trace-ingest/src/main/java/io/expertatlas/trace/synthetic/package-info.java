/**
 * Seeded routing traces with known affinity, for tests, demonstrations and benchmarks. JDK only.
 */
package io.expertatlas.trace.synthetic;
