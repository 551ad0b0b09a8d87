// Package buildtest builds what is shipped, runs the linters and tries the
// scripts of the build. All of it is tests.
package buildtest
