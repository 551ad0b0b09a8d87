// Package e2e has the scenarios that need the whole system: the built programs
// on a real Docker engine. All of it is tests.
package e2e
