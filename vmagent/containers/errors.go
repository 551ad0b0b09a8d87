//go:build linux

package containers

import "errors"

// The kinds of error, found with errors.Is.
var (
	// ErrNoEngine: nothing answers at the socket. Worth trying again.
	ErrNoEngine = errors.New("no Docker engine answers")
	// ErrUnsupported: the engine is one that nicferry cannot serve. Trying
	// again does not help until somebody changes it.
	ErrUnsupported = errors.New("this Docker engine is not supported")
	// ErrNotFound: the engine has no such container.
	ErrNotFound = errors.New("no such container")
	// ErrGone: the container has stopped or was started anew since it was
	// looked at. Look again.
	ErrGone = errors.New("the container has stopped or was started anew")
	// ErrSharedNetwork: the container's network namespace is the host's or
	// another container's.
	ErrSharedNetwork = errors.New("the container has no network namespace of its own")
	// ErrAgain: what failed may succeed if it is tried again.
	ErrAgain = errors.New("it may pass")
	// ErrTaken: the name is that of another container, or of a volume that no
	// move has made.
	ErrTaken = errors.New("the name is taken")
	// ErrRefused: it would let a container out of its box, or cannot be carried
	// to another node as it is. Trying again does not help.
	ErrRefused = errors.New("refused")
)
