package nic

import (
	"errors"
	"fmt"
	"strings"
)

// OwnerKind is what sort of thing a claim serves.
type OwnerKind string

// The kinds of owner.
const (
	// OwnerContainer is a Docker container.
	OwnerContainer OwnerKind = "container"
	// OwnerReservation is a container that is about to be made, and needs to know the
	// devices of its NIC before. It has an id of its own, and ends with its deadline.
	OwnerReservation OwnerKind = "reservation"
)

// An Owner is the container interface that a claim serves. It is a unique
// index: one owner has at most one claim. It is not the claim's identity,
// because a move re-points it.
type Owner struct {
	Node string    `json:"node"`
	Kind OwnerKind `json:"kind"`
	// Sandbox is the runtime's id of the container.
	Sandbox string `json:"sandbox"`
	// Interface is the name inside the container, such as eth0.
	Interface string `json:"interface"`
}

// Key is the owner's place in the index. Its parts cannot hold a slash.
func (o Owner) Key() string {
	return strings.Join([]string{o.Node, string(o.Kind), o.Sandbox, o.Interface}, "/")
}

// String is for people.
func (o Owner) String() string {
	return fmt.Sprintf("%s of %s %.12s on %s", o.Interface, o.Kind, o.Sandbox, o.Node)
}

// Validate refuses an owner whose parts could not be told apart in a key.
func (o Owner) Validate() error {
	var sandbox error
	if o.Kind != OwnerContainer && o.Kind != OwnerReservation {
		sandbox = fmt.Errorf("owner kind %q: want %q or %q", o.Kind, OwnerContainer, OwnerReservation)
	} else if o.Sandbox == "" || len(o.Sandbox) > 64 || strings.Trim(o.Sandbox, "0123456789abcdef") != "" {
		sandbox = fmt.Errorf("container id %q: want hex digits", o.Sandbox)
	}
	return errors.Join(CheckName("node", o.Node), sandbox, CheckInterfaceName(o.Interface))
}
