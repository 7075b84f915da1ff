/** The page of a training: figures, plots, a table. May import Jackson, to write plot data. */
package io.expertatlas.predictor.report;
