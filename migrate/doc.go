// Package migrate moves a container and its NICs to another node: Plan, which is
// pure, and the steps, each of which can be undone before the point of no return
// and resumed after a crash.
package migrate
