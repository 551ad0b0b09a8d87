package allocator

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

// overlaps has in memory on which nodes two networks have VFs in common. The config
// refuses what it can see itself; that ens1f* and ens1f0 are one card only a node's own
// cards tell. No VF is two containers' for it: it is told, and stops nothing.
type overlaps struct {
	shares []sriov.Share
	// names are the networks', by the owner of a share.
	names []string
	// reach says which networks containers on a node may use.
	reach func(node, network string) bool
	// tell hears what is new.
	tell func(node string, c nic.Condition)
	now  func() time.Time

	mu sync.Mutex // guards what follows
	by map[string]overlap
}

// An overlap is what was found of a node.
type overlap struct {
	shape   string // of the cards that it was found of
	message string // empty: none
	since   time.Time
	told    map[string]time.Time // when what was told last, of the last while
}

// toldAgain is how long after it was told the same is not told again of a node: a card
// that comes and goes would tell it without end.
const toldAgain = time.Hour

func newOverlaps(a *Allocator) *overlaps {
	o := &overlaps{by: map[string]overlap{}, now: a.now, tell: a.tellOverlap}
	o.reach = func(node, network string) bool {
		return slices.ContainsFunc(a.tenantsOf(node), a.networks[network].For)
	}
	for _, n := range a.opts.Networks {
		for side, words := range n.Functions.PFs {
			for _, word := range words {
				if sel, err := sriov.ParseSelector(word); err == nil {
					o.shares = append(o.shares, sriov.Share{Selector: sel, Owner: len(o.names), Side: side})
				}
			}
		}
		o.names = append(o.names, n.Name)
	}
	return o
}

func (a *Allocator) tellOverlap(node string, c nic.Condition) {
	a.opts.Events.Add(api.Event{Type: api.EventWarning, Node: node, Reason: c.Reason, Message: c.Message})
	a.opts.Log.Warn("networks have VFs of a node in common", slog.String("node", node), slog.String("message", c.Message))
}

// see notes a changed record, if it is a node's.
func (o *overlaps) see(e store.Event) {
	name, ok := strings.CutPrefix(e.Key, nodePrefix)
	if !ok || len(o.shares) == 0 {
		return
	}
	if e.Gone {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.by, name)
		return
	}
	if node, err := store.DecodeJSON[nic.Node](e.Record); err == nil {
		o.learn(node)
	}
}

// learn looks at a node's cards, unless they are those that it had. What their VFs are
// used for changes with each container, and is nothing here.
func (o *overlaps) learn(node nic.Node) {
	if len(o.shares) == 0 {
		return
	}
	pfs := sriov.PFs(node.Inventory.Cards)
	shape := shapeOfCards(pfs)
	o.mu.Lock()
	was, known := o.by[node.Name]
	o.mu.Unlock()
	if known && was.shape == shape {
		return
	}
	now := overlap{shape: shape, message: o.message(node.Name, pfs), since: was.since, told: map[string]time.Time{}}
	at := o.now()
	if was.message == "" {
		now.since = at
	}
	for what, when := range was.told {
		if at.Sub(when) < toldAgain {
			now.told[what] = when
		}
	}
	told := now.message == "" || !now.told[now.message].IsZero() || now.message == was.message
	if !told && len(now.told) < maxOverlapsTold {
		now.told[now.message] = at
	} else {
		told = true
	}
	o.mu.Lock()
	o.by[node.Name] = now
	o.mu.Unlock()
	if !told {
		o.tell(node.Name, now.condition())
	}
}

// shapeOfCards changes with what selectors can match.
func shapeOfCards(pfs []sriov.PF) string {
	var b strings.Builder
	for _, pf := range pfs {
		last := -1
		for _, vf := range pf.VFs {
			last = max(last, vf.Index)
		}
		fmt.Fprintf(&b, "%s %q %d\n", pf.Address, pf.Name, last)
	}
	return b.String()
}

// maxOverlapsTold bounds a condition's text, and how many are told of a node within
// toldAgain.
const maxOverlapsTold = 3

// message says what networks have in common on a node with those cards; empty for none.
func (o *overlaps) message(node string, pfs []sriov.PF) string {
	here := slices.DeleteFunc(slices.Clone(o.shares), func(s sriov.Share) bool { return !o.reach(node, o.names[s.Owner]) })
	meetings := sriov.MeetingsOn(pfs, here)
	if len(meetings) == 0 {
		return ""
	}
	var texts []string
	for _, m := range meetings[:min(len(meetings), maxOverlapsTold)] {
		a, b := here[m.First], here[m.Last]
		texts = append(texts, fmt.Sprintf("VF %d of %s is network %s's by %s and network %s's by %s",
			m.VF, m.Card, o.names[a.Owner], a, o.names[b.Owner], b))
	}
	if more := len(meetings) - maxOverlapsTold; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ") + ": whichever asks first takes such a VF from the other; part them by number in the config, as in ens1f0#0-3, and call each card by one word"
}

func (o overlap) condition() nic.Condition {
	return nic.Condition{Reason: nic.ReasonOverlappingVFs, Since: o.since, Message: o.message}
}

// of is the condition of a node; none without overlaps.
func (o *overlaps) of(node string) []nic.Condition {
	o.mu.Lock()
	defer o.mu.Unlock()
	if found := o.by[node]; found.message != "" {
		return []nic.Condition{found.condition()}
	}
	return nil
}
