// Package plug makes a cloud's attaching real: its interfaces become cards of a
// lab's machines.
package plug
