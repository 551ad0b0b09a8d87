//go:build !weak

package allocator

// The build tag weak switches these off, and the tests for F05, F06, F63, F65 and
// F66 must notice.
const (
	// secondSource has what a provider's list says of a NIC confirmed by a look
	// at the NIC alone (F05).
	secondSource = true
	// looksAround spares a NIC that somebody may be at work on: one with a
	// record in whatever phase, one that a claim names, and one that moves (F06).
	looksAround = true
	// cleanFirst has a NIC that moves be nowhere else before its node has said that
	// nothing of it is left (F63).
	cleanFirst = true
	// ownClock keeps what is stored from ending when the wall clock is set (F66).
	ownClock = true
	// fenced refuses what an agent says whose session or whose claim's epoch is an
	// older one (F65).
	fenced = true
)
