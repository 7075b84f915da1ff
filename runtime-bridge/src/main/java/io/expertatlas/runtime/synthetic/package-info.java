/** Models of known shapes with random weights, for measurements without a checkpoint. JDK only. */
package io.expertatlas.runtime.synthetic;
