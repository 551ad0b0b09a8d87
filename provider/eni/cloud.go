package eni

import (
	"context"
	"errors"
	"net/netip"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A Cloud is what one vendor's API does, verb by verb, in words that are no vendor's.
// It decides and remembers nothing of NICs: what is looked at first, what comes next
// and what is asked for again is the Provider's part.
//
// Of each call it waits for the turn (Options.Pace), repeats what failed where twice is
// the same as once, and makes of each refusal a *provider.Error with kind, scope and
// cause: ErrUnknown where the call may have taken place, and any other only where it
// has not. What else the Provider goes by is wrapped in it: see ErrTokenUsed and those
// beside it. All methods may be called concurrently.
type Cloud interface {
	// Interfaces are those with the cluster's tag and one of the NICs'; without NICs, all
	// with the cluster's. Of this and the next three looks the first call has had its turn
	// already. They return all there is, or an error; what there is not is none.
	Interfaces(ctx context.Context, nics []nic.ID) ([]Interface, error)
	Instances(ctx context.Context, ids []nic.InstanceID) (map[nic.InstanceID]Instance, error)
	Types(ctx context.Context, kinds []string) (map[string]Capacity, error)
	Subnets(ctx context.Context, ids []string) (map[string]Subnet, error)
	// Groups are the security groups that there are, each with its VPC.
	Groups(ctx context.Context, ids []string) (map[string]string, error)

	// Create makes an interface, all its tags in the one call. The NIC's id is the token:
	// another call with it makes no second one.
	Create(ctx context.Context, w Wanted) (Interface, error)
	// Attach starts plugging the interface in, at the index where the cloud's slots have
	// numbers. What it returns names this attachment, as Plug.ID will.
	Attach(ctx context.Context, f Interface, instance nic.InstanceID, index int) (attachment string, err error)
	// Detach starts unplugging the interface from where it is plugged in; ErrNotFound is
	// that it has gone from there.
	Detach(ctx context.Context, f Interface) error
	// Delete starts deleting the interface, which is plugged in nowhere.
	Delete(ctx context.Context, f Interface) error
	// Tag has the interface carry a tag, whatever it was before.
	Tag(ctx context.Context, f Interface, key, value string) error
	// Forward ends the check of source and destination.
	Forward(ctx context.Context, f Interface) error
	// Tie has an interface that is plugged in deleted together with its instance, where
	// Create or Attach has not.
	Tie(ctx context.Context, f Interface) error

	// Assign gives the interface addresses that nobody has; what it has already is no
	// error. On another interface: ErrElsewhere.
	Assign(ctx context.Context, to Interface, addrs []netip.Addr) error
	// Unassign takes addresses off; those that are off already are no error.
	Unassign(ctx context.Context, from Interface, addrs []netip.Addr) error
	// Move is Assign of what either interface has; from is empty where that is to. Where the cloud has no call for both,
	// and the second one fails, the error is ErrBusy or ErrUnknown: something was done.
	Move(ctx context.Context, addrs []netip.Addr, from, to Interface) error

	// PublicAddrs are this cluster's public addresses, of one claim or, if it is empty, of
	// all. This look takes its own turn.
	PublicAddrs(ctx context.Context, claim nic.ClaimID) ([]PublicAddr, error)
	// Allocate makes one, all its tags in the one call.
	Allocate(ctx context.Context, claim nic.ClaimID, tags map[string]string) (PublicAddr, error)
	// Lead has one that leads nowhere lead to the interface's first address. If another
	// leads there: ErrElsewhere.
	Lead(ctx context.Context, a PublicAddr, to Interface) error
	// Unlead has one lead nowhere; ErrNotFound is that it does.
	Unlead(ctx context.Context, a PublicAddr) error
	// Release gives one back that leads nowhere; ErrNotFound is that it was.
	Release(ctx context.Context, a PublicAddr) error

	Trier
}

// A Trunker is a Cloud whose instances can have many interfaces on one card.
type Trunker interface {
	// Trunks are those that are plugged in at the instance, whoever made them, and those
	// whose tags are ours and name it, wherever they are. This look takes its own turn.
	Trunks(ctx context.Context, instance nic.InstanceID) ([]Interface, error)
	// Join is Attach for a member of a trunk that is plugged in there.
	Join(ctx context.Context, f, trunk Interface, instance nic.InstanceID) (attachment string, err error)
}

// A Floater is a Cloud with addresses that several interfaces may have, of which one at a
// time has it. Who that is does not go through its API.
type Floater interface {
	// Floating are the interfaces that may have each of the addresses; one that there is not
	// is none. This look takes its own turn.
	Floating(ctx context.Context, ids []string) (map[string][]string, error)
	// Float has an interface be one of them, which it is not, and Sink ends that. ErrNotFound
	// is that there is no such address, or that it is none of them.
	Float(ctx context.Context, id string, f Interface) error
	Sink(ctx context.Context, id string, f Interface) error
}

// A Trier finds out what is permitted, and makes nothing.
type Trier interface {
	// TryLooks tries the looks. known is whether the cloud answers to somebody whom it
	// knows: if not, there is no use in trying more.
	TryLooks(ctx context.Context) (found []provider.Finding, known bool)
	// TryCreate tries to make a NIC.
	TryCreate(ctx context.Context, w Wanted) provider.Finding
	// TryChanges tries what is done to a NIC of ours, and, where addresses move, whether it
	// may be given some, of the subnet that it is in; nil is that there is none yet.
	TryChanges(ctx context.Context, f *Interface, in Subnet, moves bool) []provider.Finding
}

// What an error of a Cloud wraps beside its kind, where it says so.
var (
	// ErrTokenUsed refuses a Create: there is something of that token with other
	// parameters, or it is deleted.
	ErrTokenUsed = errors.New("creation token is used")
	// ErrAddressUsed refuses a Create: somebody has an address of it, perhaps that NIC.
	ErrAddressUsed = errors.New("address is used")
	// ErrIndexUsed refuses an Attach: something else is plugged in at that index.
	ErrIndexUsed = errors.New("device index is used")
	// ErrPluggedIn refuses an Attach: the interface is plugged in, perhaps there.
	ErrPluggedIn = errors.New("interface is plugged in")
)

// The tags of what is ours.
const (
	TagNIC     = "nicferry.io/nic"
	TagCluster = "nicferry.io/cluster"
	TagNode    = "nicferry.io/node"
	TagClaim   = "nicferry.io/claim"
	// TagRole says what is no NIC with a card of its own, and TagInstance where a trunk
	// belongs.
	TagRole     = "nicferry.io/role"
	TagInstance = "nicferry.io/instance"
	// TagFloating are the ids of floating addresses that it may have, with commas between.
	TagFloating = "nicferry.io/floating"

	roleMember = "member"
	roleTrunk  = "trunk"
)

// An Interface is a network interface, as the cloud described it once.
type Interface struct {
	ID, Subnet, Description string
	// State is by the attachment where there is one, whatever else the cloud says
	// meanwhile; without, it is creating, available, deleting or failed.
	State   nic.State
	Tags    map[string]string
	MAC     nic.MAC
	Addrs   []netip.Addr // the primary one first
	Checked bool         // source and destination are
	Tied    bool         // it is deleted with the instance that it is plugged in at
	Plug    *Plug        // nil where it is plugged in nowhere
	// Trunk: it can have members, which are these interfaces. Groups are its security
	// groups. Clouds without trunks say nothing of these.
	Trunk           bool
	Members, Groups []string
}

// nic is what the interface is remembered by. A trunk is no NIC's.
func (f Interface) nic() nic.ID {
	if f.isTrunk() {
		return nic.ID(f.ID)
	}
	return nic.ID(f.Tags[TagNIC])
}

func (f Interface) node() string   { return f.Tags[TagNode] }
func (f Interface) isTrunk() bool  { return f.Tags[TagRole] == roleTrunk }
func (f Interface) isMember() bool { return f.Tags[TagRole] == roleMember }

// A Plug is an attachment.
type Plug struct {
	// ID tells it from other attachments of the interface, also of those before. Where the
	// cloud has no names for attachments, it is the instance's id.
	ID       string
	Instance nic.InstanceID
	Index    int // 0 where slots have no numbers
	// Trunk is the interface that carries it, with that number; empty for a card of its own.
	Trunk string
	Tag   int
}

// A Wanted is an interface that is to be made.
type Wanted struct {
	// Spec is what is asked for; its MAC and its Cloud.Tags are of no concern here.
	Spec        nic.Spec
	Description string
	Tags        map[string]string
	// Trunk: it is to have members. Only a Trunker is asked for it.
	Trunk bool
}

// An Instance is a virtual machine, as the cloud described it once.
type Instance struct {
	Zone, Kind string
	Power      Power
	// Used are the device indexes that are taken, 0 being the instance's own interface;
	// where slots have no numbers, as many from 0 on as it has interfaces, a trunk's members
	// left out.
	Used map[int]bool
}

// Power is whether an instance runs. What is none of these is taken for running.
type Power string

// The states of an instance. One that has ended may be shown for some time.
const (
	Pending  Power = "pending"
	Running  Power = "running"
	Stopping Power = "stopping"
	Stopped  Power = "stopped"
	Ending   Power = "shutting-down"
	Ended    Power = "terminated"
)

// Capacity is what an instance of a type can hold: network interfaces, its own counted
// in, IPv4 addresses on each, and besides them members of its trunk, which is one of those.
type Capacity struct{ NICs, Addrs, Members int }

// A Subnet is a part of a VPC, in one zone.
type Subnet struct {
	ID, Zone, VPC string
	// Nets are its prefixes, with the next hop out of each.
	Nets []nic.Subnet
	Free int // IPv4 addresses
}

// A PublicAddr is a public address of the account's.
type PublicAddr struct {
	ID    string
	Addr  netip.Addr // zero where the cloud's word for it is none
	Claim nic.ClaimID
	// Interface is what it leads to, and Association names that; both empty if it leads nowhere.
	Interface, Association string
}
