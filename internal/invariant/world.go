// Package invariant says what must always hold of the records, the providers
// and the nodes, and finds what does not.
package invariant

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// The promises that findings name, as docs/track-record.md words them.
const (
	P1 = "P1" // a MAC and an address have one owner
	P2 = "P2" // a NIC with our tag has a record, and every record has its counterpart
	P3 = "P3" // nothing is touched that we did not make
	P4 = "P4" // a running container keeps its NIC
	P5 = "P5" // a stopped container's NIC is out of it soon
	P6 = "P6" // a claim has one NIC, on one node
	P8 = "P8" // a host changes by our NICs alone
	P9 = "P9" // every wait has a name and an end
)

// A World is one look at everything. Each part but Now may be missing: then
// nothing is said of it.
type World struct {
	// Now is the time of the look, by the clock of the records. Required.
	Now time.Time
	// Records are read after the providers and the nodes were looked at, and
	// Before, if something may move meanwhile, before that too. What two
	// sources disagree on is found only if both readings say so.
	Records Records
	Before  *Records
	// Providers that were looked at, by configured name.
	Providers map[string]Provider
	// Nodes that were looked at, by name.
	Nodes map[string]Node
	// Strangers are things that are not ours.
	Strangers Strangers
	// Grace is how long a thing in motion may go without a word, and how late
	// an end may come; default 90 s, longer than any wait that has no name yet.
	Grace time.Duration
	// PlugWithin is how long a NIC may be planned; default 5 min.
	PlugWithin time.Duration
}

// Records are one consistent reading of the store.
type Records struct {
	NICs     []nic.NIC
	Claims   []nic.Claim
	Observed []nic.Observed
	Nodes    []nic.Node
	Public   []nic.Publication
	// The indexes: what stands under a key, without the prefix that all keys
	// of an index share.
	Owners map[string]string // owner key: claim
	MACs   map[string]string // MAC: claim or NIC
	Addrs  map[string]string // SPACE/ADDRESS: claim or NIC
	On     map[string]string // NODE/NIC: NIC
	Seats  map[string]string // NIC/ADDRESS or NIC/SEAT: claim; empty while an address cools down
}

// A Provider is what one says.
type Provider struct {
	// DrawsMACs is as in provider.Info: such MACs are not reserved.
	DrawsMACs bool
	// NICs are all that carry our tag.
	NICs []nic.Seen
	// Public are all public addresses that carry our tag, by claim; nil where none
	// were looked for.
	Public map[nic.ClaimID]netip.Addr
}

// A Node is what its kernel and its container engine show.
type Node struct {
	Links []Link
	// Running are the ids of the containers that run. Without it the node's
	// last report counts, which may be old.
	Running map[string]bool
}

// A Link is a network interface.
type Link struct {
	// Namespace is where it is; empty is the host's own.
	Namespace string
	Name      string
	MAC       nic.MAC
	// Kind is the kernel's, such as veth or bridge; empty for hardware.
	Kind string
	// Alias is the NIC's id, of what carries its own mark; optional.
	Alias string
}

// Strangers are things that are not ours, each under a name of its own, with
// all that must not change about it: foreign NICs, and a host's own network.
type Strangers struct {
	NICs, NICsNow   map[string]string
	Hosts, HostsNow map[string]string
}

// A Finding is one thing that must not be.
type Finding struct {
	Promise string   `json:"promise"`
	IDs     []string `json:"ids"`
	Problem string   `json:"problem"`
}

// String reads "P2 nic-… : has no record".
func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s", f.Promise, strings.Join(f.IDs, " "), f.Problem)
}

// Check finds everything in the world that must not be; nothing if all is
// well. It only looks at what it is given.
func Check(w World) []Finding {
	w.Grace = cmp.Or(w.Grace, 90*time.Second)
	w.PlugWithin = cmp.Or(w.PlugWithin, 5*time.Minute)
	c := &check{World: w, now: index(w.Records), before: index(w.Records)}
	if w.Before != nil {
		c.before = index(*w.Before)
	}
	c.owners()
	c.reservations()
	c.pairs()
	c.lists()
	c.seats()
	c.waits()
	c.trust()
	c.providers()
	c.public()
	c.links()
	c.strangers()
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Promise, b.Promise), slices.Compare(a.IDs, b.IDs))
	})
	return c.found
}

// Error is the findings as one error; nil without any.
func Error(found []Finding) error {
	if len(found) == 0 {
		return nil
	}
	lines := make([]string, len(found))
	for i, f := range found {
		lines[i] = f.String()
	}
	return fmt.Errorf("what must always hold does not:\n  %s", strings.Join(lines, "\n  "))
}

// A check is one run of Check.
type check struct {
	World
	now, before reading
	found       []Finding
}

// A reading is Records by id.
type reading struct {
	nics   map[nic.ID]nic.NIC
	claims map[nic.ClaimID]nic.Claim
	public map[nic.ClaimID]nic.Publication
}

func index(r Records) reading {
	ix := reading{nics: map[nic.ID]nic.NIC{}, claims: map[nic.ClaimID]nic.Claim{}, public: map[nic.ClaimID]nic.Publication{}}
	for _, n := range r.NICs {
		ix.nics[n.ID] = n
	}
	for _, c := range r.Claims {
		ix.claims[c.ID] = c
	}
	for _, p := range r.Public {
		ix.public[p.Claim] = p
	}
	return ix
}

func (c *check) add(promise string, ids []string, format string, args ...any) {
	c.found = append(c.found, Finding{Promise: promise, IDs: ids, Problem: fmt.Sprintf(format, args...)})
}

func ids[T ~string](of ...T) []string {
	all := make([]string, len(of))
	for i, id := range of {
		all[i] = string(id)
	}
	return all
}
