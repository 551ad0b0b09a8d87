// Package provider is the contract between the controller and every source of
// NICs: a cloud, a hypervisor, or the node itself.
package provider

import (
	"context"
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A Provider is a configured source of NICs. Its verbs are level-triggered:
// they start something and return, nothing inside waits for an outcome, and
// the caller polls Get. Each may be called again at any time, also after a
// lost reply and after a restart of either side, and every error is of one of
// the kinds in errors.go; where ctx ends first it is ErrUnknown and wraps
// ctx's error. All methods may be called concurrently.
type Provider interface {
	// Info is static: it never fails and never changes.
	Info() Info

	// Create makes the NIC that spec.NIC names, from a fully placed spec. The
	// same spec again, even days later, is the same NIC and no error. The same
	// id with other parameters is ErrInvalid; while it is being deleted, ErrBusy.
	Create(ctx context.Context, spec nic.Spec) (nic.Seen, error)

	// Attach starts plugging the NIC in at place. Already there: nil. On its
	// way there or away: ErrBusy. On another instance: ErrElsewhere. No such
	// NIC: ErrNotFound. No free slot: ErrExhausted. An instance that is not
	// known: ErrInvalid. Where places on an instance have numbers, the provider
	// picks one; that it turns out to be taken is ErrBusy, and the next call
	// picks another (F07). An instance that takes no NIC just now, or that other
	// calls are at: ErrBusy with RetryAfter, and nothing has been done.
	Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error)

	// Detach starts unplugging the NIC, only from that instance. Not plugged
	// in, or on its way out: nil. On its way in: ErrBusy, where it cannot be
	// stopped. On another instance: ErrElsewhere. No such NIC: ErrNotFound. It
	// is done when Get says available.
	Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error

	// Delete starts deleting the NIC; nil means only that. Callers repeat it
	// until ErrNotFound, which is final, but for a NIC younger than
	// Info.VisibleAfter. Still plugged in: ErrBusy.
	Delete(ctx context.Context, id nic.ID) error

	// Get describes many NICs in one call. A missing key means "not seen",
	// which is not "gone": a young NIC may not be visible yet.
	Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error)

	// List returns every NIC that carries this cluster's tag, in any state. It
	// returns an error, never a short list.
	List(ctx context.Context) ([]nic.Seen, error)

	// Limits says what an instance can hold.
	Limits(ctx context.Context, instance nic.InstanceID) (Limits, error)
}

// Info is what is fixed about a provider.
type Info struct {
	// Name is the configured name, Kind the driver.
	Name, Kind string
	// DrawsMACs: the provider chooses MACs. Otherwise the allocator draws one
	// and gives it in the spec.
	DrawsMACs bool
	// Travel is how a claim gets to another node.
	Travel Travel
	// WorstCall is the longest that one call may take before the caller gives
	// it up, retries inside the provider included.
	WorstCall time.Duration
	// VisibleAfter is how long a new NIC may stay hidden from Get and Delete;
	// until then ErrNotFound is no proof. 0 where reads are exact.
	VisibleAfter time.Duration
	// Rates are what the cloud allows; its caller keeps within them, so that one
	// burst does not take the calls of all.
	Rates Rates
}

// Travel is how a claim gets from one node to another.
type Travel string

// The three ways.
const (
	Carry     Travel = "carry"     // the same NIC is unplugged and plugged in there
	Readdress Travel = "readdress" // the address goes to a NIC already there
	Rebuild   Travel = "rebuild"   // a new NIC is given the same MAC and addresses
)

// Limits is what one instance can hold.
type Limits struct {
	NICs        int // in all
	AddrsPerNIC int
	Free        int // slots for further NICs
	// Slot is what people call a slot, such as "hot-plug slot"; empty is "slot".
	Slot string
}

// A Hinter is a provider that hears of changes, such as by a hypervisor's
// events, so that its caller need not wait for its next look. A hint is no
// proof, and a lost one costs only time.
type Hinter interface {
	// Hints calls hint with each NIC that may have changed its state, and with
	// "" when any may have, such as after a lost connection, until ctx ends.
	// hint may be called from any goroutine and returns at once.
	Hints(ctx context.Context, hint func(nic.ID))
}

// A Powered is a provider that knows whether machines run. An instance that may
// wake by itself is not off, and neither is one that it cannot find: that is
// ErrNotFound, which proves nothing, since the machine may have another name.
type Powered interface {
	// Off says whether the instance is off, so that nothing on it runs. It may be
	// started again at any time. No answer is an error.
	Off(ctx context.Context, instance nic.InstanceID) (bool, error)
}

// A Placer settles the choices that a spec leaves open: zone, subnet, card,
// PFs. The result is stored before Create is called, so that a retry asks for
// the same.
//
// Of a cloud's subnets it picks one of spec.Cloud.Subnets in the zone of the
// node's instance, and clears Subnets and Pick. A subnet that the spec has
// already is kept, as that of a NIC which is to be carried: a node in another
// zone is ErrInvalid. That all subnets there are full is ErrExhausted, with
// ScopeSubnet.
type Placer interface {
	Place(ctx context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error)
}

// A Fitter is a Placer that keeps for a NIC what it has chosen for it, until Delete,
// which is to be called also for one that was never created. Fits is Place for whom it
// is enough to know that there is a choice.
type Fitter interface {
	Fits(ctx context.Context, spec nic.Spec, node nic.Node) error
}

// An AddrAssigner can give a NIC addresses beside the one that it was made with,
// and take an address from one NIC to another. Addresses are always named: a
// number of them, asked for twice, would be twice as many. Get tells what is where;
// it may lag behind by Info.VisibleAfter.
type AddrAssigner interface {
	// Assign gives the NIC the addresses, of its own subnet. What it has already is
	// no error. An address that is on the NIC from is taken from it, at once and
	// whatever uses it there: only the caller can know that nothing does. On any
	// other NIC: ErrElsewhere. from may be empty. No such NIC: ErrNotFound. No room
	// for more: ErrExhausted. Of one IPv4 address, any error but ErrUnknown and ErrBusy
	// says that nothing was done.
	Assign(ctx context.Context, id nic.ID, addrs []netip.Addr, from nic.ID) error
	// Unassign takes the addresses from the NIC. What it has not is no error; the
	// one that it was made with is ErrInvalid.
	Unassign(ctx context.Context, id nic.ID, addrs []netip.Addr) error
}

// A Publisher gives claims public addresses, which live as long as the claims do
// and pass from NIC to NIC with them. One stays with its NIC wherever that is
// plugged in, and leads nowhere once the NIC is deleted.
type Publisher interface {
	// Publish has the claim's public address lead to the NIC's first address, and
	// returns it. A claim that has none gets one; one that leads elsewhere is led
	// here. Its owner repeats it after any error, which may have left the claim with
	// an address that leads nowhere. No such NIC: ErrNotFound. One that another
	// claim's leads to: ErrElsewhere. No address left: ErrExhausted.
	Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (netip.Addr, error)
	// Unpublish gives the claim's public address back. A claim that has none is no
	// error.
	Unpublish(ctx context.Context, claim nic.ClaimID) error
	// Published are the claims of this cluster that have one, and theirs.
	Published(ctx context.Context) (map[nic.ClaimID]netip.Addr, error)
}

// A Roomy is a provider that remembers for a moment what its machines have room for,
// and so need not be asked about them for each NIC.
type Roomy interface {
	// Room is Limits for whoever needs room for so many NICs. Where it says that there
	// is, it may be some minutes old, and miss what others than the caller have plugged in
	// since: an attach has the last word. Where it says that there is not, it is as
	// exact as Limits.
	Room(ctx context.Context, instance nic.InstanceID, want int) (Limits, error)
}

// A Noter is a provider to which plugging in is a note in its ledger, because the node
// makes the NIC. Who writes that note along with his own records needs no call.
type Noter interface {
	// Note is Place, Create and Attach of a NIC that nobody has asked for yet, with
	// others that have been promised a slot there and do not take one yet. Nothing is
	// written: that is for the caller, who then says by End whether he has. Any error
	// says that it is to be plugged in by the calls, which know why not.
	Note(ctx context.Context, spec nic.Spec, node nic.Node, at nic.Place, others int) (Note, error)
	// Knows says whether it remembers what takes slots of the instance well enough to
	// note a NIC there. Tell is for who finds that it does not, and has records of what
	// is there: a look at all NICs may take long.
	Knows(instance nic.InstanceID) bool
	Tell(instance nic.InstanceID, there []nic.ID)
}

// A Note is a NIC that is plugged in once its records are in the ledger.
type Note struct {
	Spec    nic.Spec          // placed
	Seen    nic.Seen          // what Attach would say
	Records map[string][]byte // for the ledger, by key; none of them may be there
	End     func(written bool)
}

// A Trunking provider can have many NICs on one card of an instance, its trunk. The trunk
// is no NIC: it is made with the first of them, and goes some time after the last.
type Trunking interface {
	// Members is Limits for NICs whose spec says Trunk.
	Members(ctx context.Context, instance nic.InstanceID) (Limits, error)
}

// Unwrapper is a decorator around another provider.
type Unwrapper interface{ Unwrap() Provider }

// As finds the optional interface T on p or on what p decorates, so that a
// decorator does not hide it.
func As[T any](p Provider) (T, bool) {
	for {
		if t, ok := p.(T); ok {
			return t, true
		}
		u, ok := p.(Unwrapper)
		if !ok {
			var none T
			return none, false
		}
		p = u.Unwrap()
	}
}
