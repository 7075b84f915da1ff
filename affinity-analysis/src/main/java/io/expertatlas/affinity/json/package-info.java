/** JSON of the affinity nouns: hand-written parsers, kebab-case keys. May import Jackson. */
package io.expertatlas.affinity.json;
