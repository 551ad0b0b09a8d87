//go:build race

package migrate_test

// oneIn is how many cases of a matrix there are to each that is played with the
// race detector, which makes a case ten times as long. It is prime, so that steps
// and harms take turns. Suite migrate plays all, without it.
const oneIn = 29
