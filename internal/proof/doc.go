// Package proof tries to make the controller break its promises: it kills it
// at every step, fails its calls, races it, and holds it against a model. What
// must hold is package invariant's to say.
package proof
