/**
 * Self-contained HTML reports with Apache ECharts plots, for every stage. May import Jackson; the
 * ECharts script is read from the class path as a resource.
 */
package io.expertatlas.affinity.report;
