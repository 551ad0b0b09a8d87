package sriov

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
	"github.com/nicferry/nicferry/provider/made"
	"github.com/nicferry/nicferry/sriov"
)

// What VFs are given out to is in the ledger, one record each, beside what each NIC
// was told:
//
//	vf/NODE/ADDRESS/NIC    since when the VF is set aside for the NIC
//
// Who wants a VF puts a record of its own and then reads who else has one: of two
// who do so at once, one at least sees the other, and goes back. So a VF is never
// two NICs', whatever the number of controllers; and since a record has one NIC's
// name, who removes it late removes nobody else's. In the same way
//
//	link/NODE/CARD/NIC     that the NIC is a link on the card, and of what kind
//
// keeps links of two kinds from one card.
const (
	vfRoot   = "vf/"
	linkRoot = "link/"
)

const (
	// neverCame is when what is set aside for a NIC that nobody has made is anybody's
	// again: its controller died between the two, and who plans it now plans anew.
	neverCame = 15 * time.Minute
	// settles is when two who have met at a VF have parted.
	settles = time.Second
)

// Kept says whether a ledger has VFs or links on cards that are given out.
func Kept(ctx context.Context, ledger provider.Ledger) (bool, error) {
	for _, root := range []string{vfRoot, linkRoot} {
		records, err := ledger.List(ctx, root)
		if err != nil || len(records) > 0 {
			return len(records) > 0, wrap("read ledger", err)
		}
	}
	return false, nil
}

// books say which VFs are given out.
type books struct {
	ledger provider.Ledger
	log    ledgerlog.Log

	adopting made.Turns[string]
	adopted  bool // by whoever has the turn

	mu sync.Mutex // guards all following fields
	// aside are the records of NICs that were placed here, until they are deleted.
	aside map[nic.ID]map[string]bool
	// been are NICs that have been plugged in. They stay so until they are deleted.
	been map[nic.ID]bool
	// released is when VFs were given back last, by node and address. It is known of
	// those that were given back here: to choose well, not to choose right.
	released map[string]map[sriov.Address]time.Time
}

func newBooks(ledger provider.Ledger, log ledgerlog.Log) *books {
	return &books{
		ledger: ledger, log: log,
		aside: map[nic.ID]map[string]bool{}, been: map[nic.ID]bool{}, released: map[string]map[sriov.Address]time.Time{},
	}
}

// An entry is one record.
type entry struct {
	key string
	vf  sriov.Address
	nic nic.ID
	At  time.Time `json:"at"`
	// Kind and Network are of a link alone.
	Kind    nic.DeviceKind `json:"kind,omitempty"`
	Network string         `json:"network,omitempty"`
}

func vfKey(node string, vf sriov.Address) string { return vfRoot + node + "/" + string(vf) + "/" }

// of are the entries of a node's VFs.
func (b *books) of(ctx context.Context, node string) ([]entry, error) {
	return b.read(ctx, vfRoot+node+"/")
}

func (b *books) read(ctx context.Context, prefix string) ([]entry, error) {
	records, err := b.ledger.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	all := make([]entry, 0, len(records))
	for key, value := range records {
		parts := strings.Split(key, "/")
		if len(parts) != 4 {
			return nil, provider.Errorf(provider.ErrInvalid, "ledger record %q: no such kind of record; was it written by a newer nicferry?", key)
		}
		e := entry{key: key, vf: sriov.Address(parts[2]), nic: nic.ID(parts[3])}
		if err := json.Unmarshal(value, &e); err != nil {
			return nil, provider.Errorf(provider.ErrInvalid, "ledger record %q: %v", key, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// A taken VF is another NIC's.
type taken struct {
	vf  sriov.Address
	by  nic.ID
	had bool // and was set aside for the NIC in question as well
}

// Error says so.
func (t taken) Error() string { return fmt.Sprintf("VF %s is %s's", t.vf, t.by) }

// take sets VFs aside for a NIC, all or none, and returns those that others have.
// What was set aside for it before stays so.
func (b *books) take(ctx context.Context, node string, id nic.ID, vfs []sriov.Address) ([]taken, error) {
	if !setsAside {
		return nil, nil
	}
	value, err := json.Marshal(entry{At: time.Now()})
	if err != nil {
		return nil, fmt.Errorf("write record: %w", err)
	}
	fresh := map[sriov.Address]bool{}
	for _, vf := range vfs {
		key := vfKey(node, vf) + string(id)
		b.remember(id, key)
		_, stored, err := b.ledger.Put(ctx, key, value)
		if err != nil {
			return nil, fmt.Errorf("write ledger: %w", err)
		}
		fresh[vf] = stored
	}
	var lost []taken
	for _, vf := range vfs {
		entries, err := b.read(ctx, vfKey(node, vf))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.nic == id {
				continue
			}
			live, err := b.live(ctx, e)
			if err != nil {
				return nil, err
			}
			if live {
				lost = append(lost, taken{vf, e.nic, !fresh[vf]})
			}
		}
	}
	if len(lost) == 0 {
		return nil, nil
	}
	for vf, stored := range fresh {
		if !stored {
			continue // it may be settled that it is the NIC's
		}
		if err := b.ledger.Delete(ctx, vfKey(node, vf)+string(id)); err != nil {
			return nil, fmt.Errorf("clear ledger: %w", err)
		}
	}
	return lost, nil
}

// live says whether the NIC that a VF or a card is set aside for is there, or may come
// still. Otherwise the entry is removed. A link that was made after all somewhere else,
// by an attempt that came later, is not there.
func (b *books) live(ctx context.Context, e entry) (bool, error) {
	young := time.Since(e.At) < neverCame
	if young && e.Kind == "" {
		return true, nil
	}
	h, err := b.log.Read(ctx, e.nic)
	if err != nil {
		return true, err
	}
	if h.Known && (e.Kind == "" || e.is(h.Spec)) || !h.Known && young {
		return true, nil
	}
	if err := b.ledger.Delete(ctx, e.key); err != nil {
		return true, fmt.Errorf("clear ledger: %w", err)
	}
	if !h.Known {
		b.forget(e.nic)
	}
	return false, nil
}

// sweep removes the entries of NICs that never came, and returns the others.
func (b *books) sweep(ctx context.Context, entries []entry) ([]entry, error) {
	var left []entry
	for _, e := range entries {
		live, err := b.live(ctx, e)
		if err != nil {
			return nil, err
		}
		if live {
			left = append(left, e)
		}
	}
	return left, nil
}

// split are the VFs that are others', and those that are the NIC's.
func split(entries []entry, id nic.ID) (others map[sriov.Address]bool, mine []sriov.Address) {
	others = map[sriov.Address]bool{}
	for _, e := range entries {
		if e.nic == id {
			mine = append(mine, e.vf)
		} else {
			others[e.vf] = true
		}
	}
	return others, mine
}

// giveBack frees what was set aside for a NIC: on the node the VFs of its recipe or
// the card that it is on, and all that this controller knows of.
func (b *books) giveBack(ctx context.Context, id nic.ID, node string, d nic.Device) error {
	vfs := addresses(d)
	if d.Parent != "" {
		b.remember(id, linkKey(node, d.Parent)+string(id))
	}
	for _, vf := range vfs {
		b.remember(id, vfKey(node, vf)+string(id))
	}
	for _, key := range b.keys(id) {
		if err := b.ledger.Delete(ctx, key); err != nil {
			return fmt.Errorf("clear ledger: %w", err)
		}
	}
	b.mu.Lock()
	for _, vf := range vfs {
		if b.released[node] == nil {
			b.released[node] = map[sriov.Address]time.Time{}
		}
		b.released[node][vf] = time.Now()
	}
	b.mu.Unlock()
	b.forget(id)
	return nil
}
