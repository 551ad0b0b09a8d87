package cloudsim

import (
	"context"
	"net/netip"
	"time"
)

// An InstanceState is where an instance is in its life.
type InstanceState string

// The states.
const (
	InstancePending    InstanceState = "pending"
	InstanceRunning    InstanceState = "running"
	InstanceStopping   InstanceState = "stopping"
	InstanceStopped    InstanceState = "stopped"
	InstanceShutting   InstanceState = "shutting-down"
	InstanceTerminated InstanceState = "terminated"
)

// An Instance is a virtual machine.
type Instance struct {
	ID, Type string
	State    InstanceState
	// Reservation is the call that made it.
	Reservation string
	// VPC, Subnet, Zone and Private are its first interface's.
	VPC, Subnet, Zone string
	Private, Public   netip.Addr
	Image             string
	Launched          time.Time
	Owner             string
	Groups            []Group
	Tags              Tags
	// Interfaces are those that have an attachment to it, by card and index.
	Interfaces []Interface
}

// A RunInstances makes instances.
type RunInstances struct {
	Type   string // required, one of Options.Types
	Count  int    // 0 is one
	Subnet string // required, unless Interfaces
	Groups []string
	Image  string
	Token  string
	Tags   Tags
	// ID is for who builds a world and makes one: drawn where it is empty.
	ID string
	// Interfaces are existing ones to be attached at index 0, 1 and so on.
	Interfaces []string
}

// RunInstances makes instances, each with a first interface that goes with it.
func (c *Cloud) RunInstances(ctx context.Context, call Call, r RunInstances) ([]Instance, error) {
	return nil, errNotBuilt
}

// AddInstances makes instances that run at once, past gate and latency.
func (c *Cloud) AddInstances(r RunInstances) ([]Instance, error) { return nil, errNotBuilt }

// A StateChange is what became of an instance.
type StateChange struct {
	Instance      string
	Before, After InstanceState
}

// StopInstances stops instances; interfaces stay attached.
func (c *Cloud) StopInstances(ctx context.Context, call Call, ids ...string) ([]StateChange, error) {
	return nil, errNotBuilt
}

// StartInstances starts stopped instances.
func (c *Cloud) StartInstances(ctx context.Context, call Call, ids ...string) ([]StateChange, error) {
	return nil, errNotBuilt
}

// TerminateInstances ends instances. Interfaces with DeleteOnTermination end
// with them, the others are available again.
func (c *Cloud) TerminateInstances(ctx context.Context, call Call, ids ...string) ([]StateChange, error) {
	return nil, errNotBuilt
}

// DescribeInstances lists instances. Filters: instance-id, instance-state-name,
// instance-type, vpc-id, subnet-id, availability-zone, private-ip-address,
// network-interface.network-interface-id, tag:<key>, tag-key.
func (c *Cloud) DescribeInstances(ctx context.Context, call Call, d Describe) (Page[Instance], error) {
	return Page[Instance]{}, errNotBuilt
}
