package cloudsim

import (
	"context"
	"net/netip"
)

// A Call is what stands around a request.
type Call struct {
	// Caller is the access key; for the log, the lag and the policy.
	Caller string
	// From is where the request came from, as far as the face knows; for the policy.
	From netip.Addr
	// Region is the one that was asked; another than the cloud's is refused.
	// Empty is the cloud's.
	Region string
	// DryRun: check and do nothing; the answer is an Error, DryRunOperation
	// where it would have been done.
	DryRun bool
	// RequestID is drawn where it is empty.
	RequestID string
	// Wire is where the gate tells the face what to do to the answer. Without
	// one, a fault of the wire is a *WireError to the caller.
	Wire *Wire

	// Action is what the face calls it, where that is not EC2's name: faults, buckets,
	// the policy and the log know it by that.
	Action string
	// API is EC2's name of the action, such as CreateNetworkInterface. The
	// gate sets it: callers leave it empty.
	API string
	// Creating is the action whose tags a CreateTags is about; empty where
	// tags are asked for by themselves. The gate sets it.
	Creating string
}

// A Wire is what the face shall do to an answer. The zero Wire is nothing.
type Wire struct {
	// Verb is empty or one of LoseReply, Reset, HTML, Empty and Half. The gate
	// has seen to it that the call took effect or did not: the face carries
	// out only what the client sees. It does so where the call ended in an
	// error too.
	Verb Verb
	// Status is the HTTP status to send with HTML and Empty.
	Status int
}

// A Policy decides who may do what.
type Policy interface {
	// Allow is nil, or says why not. What it returns is told to the caller as
	// UnauthorizedOperation. It is called under the cloud's lock, and must not
	// call the cloud. A call that tags what it makes is asked about twice: as
	// itself, and as CreateTags with Call.Creating.
	Allow(call Call, on []Resource) error
}

// A Plugger makes attaching real: it plugs cards into machines. Both methods
// are idempotent, block until it is done, and are called by one goroutine per
// interface at a time.
type Plugger interface {
	// Plug plugs a card with this MAC into the instance. An error lets the
	// attachment fail: the interface is available again.
	Plug(ctx context.Context, instance string, mac MAC) error
	// Unplug takes it out. An error is tried again, until it works.
	Unplug(ctx context.Context, instance string, mac MAC) error
}
