//go:build !race

package migrate_test

// oneIn: all cases of a matrix are played.
const oneIn = 1
