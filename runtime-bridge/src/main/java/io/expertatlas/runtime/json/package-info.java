/** JSON of the runtime stage: timelines, results of runs, prompts. May import Jackson. */
package io.expertatlas.runtime.json;
