// Package aws has the scenarios of a cloud: real daemons and containers, AWS's own
// SDK, and a cloud in memory that plugs its interfaces into the machines.
package aws
