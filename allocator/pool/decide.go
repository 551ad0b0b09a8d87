package pool

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// Decide says what is to be done for one whole node at the time now. capacity
// is how many NICs of ours each machine can hold; one that is not in it has no
// room. Containers that run come first, then those that are to be started, then
// what the pools should have at least, then what they may have.
//
// Doing what a plan says leads to an empty plan; what is retired keeps its slot
// until it is gone.
func Decide(now time.Time, capacity map[Machine]int, networks []Network, items []Item, demand []Demand) Plan {
	d := &deciding{now: now, capacity: capacity, networks: slices.Clone(networks), items: slices.Clone(items)}
	slices.SortFunc(d.networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(d.items, func(a, b Item) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	demand = d.give(byUrgency(demand))
	d.shed()
	for _, n := range d.networks {
		d.keep(n)
	}
	unmet := map[Machine]int{}
	for _, left := range d.give(demand) { // what is kept now may fit
		if n, ok := d.network(left.Network); ok {
			unmet[n.Machine]++
		}
	}
	for _, n := range d.networks {
		d.trim(n)
	}
	for _, m := range d.machines() {
		d.makeRoom(m, unmet[m])
		d.fill(m, unmet[m])
	}
	return d.plan
}

// deciding is one run of Decide. The items follow the plan as it grows.
type deciding struct {
	now      time.Time
	capacity map[Machine]int
	networks []Network
	items    []Item // oldest first
	plan     Plan
}

func (d *deciding) network(name string) (Network, bool) {
	at := slices.IndexFunc(d.networks, func(n Network) bool { return n.Name == name })
	if at < 0 {
		return Network{}, false
	}
	return d.networks[at], true
}

func (d *deciding) machines() []Machine {
	var all []Machine
	for _, n := range d.networks {
		if !slices.Contains(all, n.Machine) {
			all = append(all, n.Machine)
		}
	}
	return all
}

// byUrgency puts containers that run before those that are to be started.
func byUrgency(demand []Demand) []Demand {
	demand = slices.Clone(demand)
	slices.SortStableFunc(demand, func(a, b Demand) int {
		switch {
		case a.Ahead == b.Ahead:
			return 0
		case b.Ahead:
			return -1
		}
		return 1
	})
	return demand
}

// give serves what fits, and returns what is left.
func (d *deciding) give(demand []Demand) (left []Demand) {
	for _, want := range demand {
		n, ok := d.network(want.Network)
		it, fits := n.Choose(want, d.items)
		if !ok || !fits {
			left = append(left, want)
			continue
		}
		d.plan.Give = append(d.plan.Give, Gift{want.Claim, it.ID})
		d.set(it.ID, Held)
	}
	return left
}

func (d *deciding) set(id nic.ID, s State) {
	at := slices.IndexFunc(d.items, func(it Item) bool { return it.ID == id })
	d.items[at].State = s
}

func (d *deciding) retire(it Item, format string, args ...any) {
	d.plan.Retire = append(d.plan.Retire, Retirement{it.ID, fmt.Sprintf(format, args...)})
	d.plan.Keep = slices.DeleteFunc(d.plan.Keep, func(id nic.ID) bool { return id == it.ID })
	d.set(it.ID, Leaving)
}

// shed retires what no network would use any more.
func (d *deciding) shed() {
	for _, it := range slices.Clone(d.items) {
		n, ok := d.network(it.Network)
		switch {
		case !it.State.reserve() && it.State != Clean:
		case !ok:
			d.retire(it, "network %s is not in the config any more", it.Network)
		case it.Stale || it.Machine != n.Machine:
			d.retire(it, "network %s makes its NICs otherwise now", it.Network)
		}
	}
}

func (d *deciding) of(n Network, has func(Item) bool) (all []Item) {
	for _, it := range d.items {
		if it.Network == n.Name && it.Machine == n.Machine && has(it) {
			all = append(all, it)
		}
	}
	return all
}

func (d *deciding) reserve(n Network) []Item {
	return d.of(n, func(it Item) bool { return it.State.reserve() })
}

// keep takes what is clean into the pool as far as it has room.
func (d *deciding) keep(n Network) {
	for _, it := range d.of(n, func(it Item) bool { return it.State == Clean }) {
		if len(d.reserve(n)) >= n.Pool.Max {
			d.retire(it, "the pool of network %s has %d of %d", n.Name, n.Pool.Max, n.Pool.Max)
			continue
		}
		d.plan.Keep = append(d.plan.Keep, it.ID)
		d.set(it.ID, Cooling)
	}
}

// trim retires what is beyond the pool's most, and what has been idle beyond
// its least; the oldest first.
func (d *deciding) trim(n Network) {
	reserve := d.reserve(n)
	slices.SortStableFunc(reserve, func(a, b Item) int { return cmp.Compare(rank(a), rank(b)) })
	left := len(reserve)
	for _, it := range reserve {
		if left > n.Pool.Max {
			d.retire(it, "the pool of network %s has %d, and %d at most", n.Name, left, n.Pool.Max)
			left--
		}
	}
	for _, it := range d.reserve(n) {
		if left <= n.Pool.Min || it.State != Spare {
			continue
		}
		due := it.Since.Add(n.Pool.Idle.D())
		if due.After(d.now) {
			if d.plan.Again.IsZero() || due.Before(d.plan.Again) {
				d.plan.Again = due
			}
			continue
		}
		d.retire(it, "idle for %s", d.now.Sub(it.Since).Round(time.Second))
		left--
	}
}

// rank says what goes first where something must: what is worth least.
func rank(it Item) int { return slices.Index([]State{Making, Cooling, Spare}, it.State) }

// slots counts a machine's slots that are free, and those that will be.
func (d *deciding) slots(m Machine) (free, leaving int) {
	free = d.capacity[m]
	for _, it := range d.items {
		if it.Machine == m {
			free--
			if it.State == Leaving {
				leaving++
			}
		}
	}
	return free, leaving
}

// makeRoom retires spares for claims that have no slot.
func (d *deciding) makeRoom(m Machine, unmet int) {
	free, leaving := d.slots(m)
	for short := unmet - max(0, free) - leaving; short > 0; short-- {
		it, ok := d.sacrifice(m, false)
		if !ok {
			return
		}
		d.retire(it, "its slot is needed for a container")
	}
}

// sacrifice picks what the machine can do without best: of pools that have more
// than their least, and unless only such are asked for, then of the others.
func (d *deciding) sacrifice(m Machine, surplus bool) (Item, bool) {
	var least, more []Item
	for _, n := range d.networks {
		if n.Machine != m {
			continue
		}
		reserve := d.reserve(n)
		if len(reserve) > n.Pool.Min {
			more = append(more, reserve...)
		} else {
			least = append(least, reserve...)
		}
	}
	all := [][]Item{more, least}
	if surplus {
		all = all[:1]
	}
	for _, some := range all {
		if len(some) > 0 {
			return slices.MinFunc(some, func(a, b Item) int {
				return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
			}), true
		}
	}
	return Item{}, false
}

// fill makes what the pools should have at least, as far as there are slots
// that no claim waits for. For the rest, pools that have more give.
func (d *deciding) fill(m Machine, unmet int) {
	free, leaving := d.slots(m)
	lack := map[string]int{}
	missing := 0
	for _, n := range d.networks {
		if n.Machine == m && !n.Paused {
			lack[n.Name] = max(0, n.Pool.Min-len(d.reserve(n)))
			missing += lack[n.Name]
		}
	}
	coming := max(0, free) + leaving - unmet
	for room := free - unmet; room > 0 && missing > 0; {
		for _, n := range d.networks {
			if lack[n.Name] > 0 && n.Machine == m && room > 0 {
				d.plan.Create = append(d.plan.Create, n.Name)
				lack[n.Name]--
				missing--
				coming--
				room--
			}
		}
	}
	d.plan.Missing += missing
	for need := missing - max(0, coming); need > 0; need-- {
		it, ok := d.sacrifice(m, true)
		if !ok {
			return
		}
		d.retire(it, "its slot is needed for another network's pool")
	}
}
