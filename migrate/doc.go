// Package migrate will move a container and its NIC to another node: Plan, which
// is pure, and the steps, each of which can be undone before the point of no
// return and resumed after a crash.
package migrate
