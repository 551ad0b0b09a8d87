package provider

import (
	"context"

	"github.com/nicferry/nicferry/nic"
)

// A Planner knows what bounds NICs besides an instance's slots, and what a start
// costs, before there is any NIC.
type Planner interface {
	// Plan says so of NICs of the spec, whose choices are open still. kind is a type
	// of instance, whose limits are said too; may be empty. A kind that there is not
	// is ErrInvalid.
	Plan(ctx context.Context, spec nic.Spec, kind string) (Plan, error)
}

// A Plan is what NICs of one network are up against.
type Plan struct {
	// Fresh is what an instance of the kind holds that has no NIC of ours yet.
	Fresh Limits
	// Bounds are those of all instances together.
	Bounds []Bound
	// Calls are those that change something, of one NIC that is made for a container,
	// in order.
	Calls []string
}

// A Bound is for how many further NICs there is something, such as "free address in
// its subnets".
type Bound struct {
	What string
	Room int
}
