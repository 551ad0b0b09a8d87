package lease

import (
	"errors"
	"time"
)

// State is how a lease stands.
type State[L Lease] struct {
	// Bound: the lease holds, its address belongs on the NIC. Otherwise no
	// address from DHCP may be on it.
	Bound bool
	// Lease is the one that holds, or the last that did; zero if there was
	// none, a server has refused it or it was declined.
	Lease L
	// Since is when Bound last changed, or the start.
	Since time.Time
	// Err is the last trouble, nil if there is none. With Bound it is a
	// warning: the renewal does not get through.
	Err error
}

// What State.Err and what a Protocol returns may be, by errors.Is.
var (
	// ErrNoAnswer: no server has answered.
	ErrNoAnswer = errors.New("no DHCP server answers")
	// ErrRefused: a server took the lease away.
	ErrRefused = errors.New("address refused")
	// ErrConflict: the address was declined, because another host has it.
	ErrConflict = errors.New("address is in use by another host")
	// ErrNotReady: the link cannot carry messages yet, but soon will.
	ErrNotReady = errors.New("link is not ready")
)
