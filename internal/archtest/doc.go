// Package archtest holds the shape of the project: which package may import
// which, and how large a file and a function may grow. All of it is tests.
package archtest
