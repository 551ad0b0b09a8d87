package lease

// An Event is what has become of a lease, for whoever counts.
type Event string

// The events.
const (
	Acquired Event = "acquired" // there is a new one
	Verified Event = "verified" // one of before a restart is still good
	Renewed  Event = "renewed"
	Refused  Event = "refused"  // a server took it away (NAK)
	Expired  Event = "expired"  // it has run out before anybody answered
	Declined Event = "declined" // another host has the address
)
