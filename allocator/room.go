package allocator

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// NodeRoom says what each provider has room for on a node: for NICs, and for seats
// on those that containers share. No such node: ErrNotFound. A provider that does
// not answer is told with what there is all the same.
func (a *Allocator) NodeRoom(ctx context.Context, name string) ([]api.NodeRoom, error) {
	node, err := a.Node(ctx, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askAllWithin)
	defer cancel()
	e := a.reader(ctx)
	ids, err := idsOn(e, name)
	if err != nil {
		return nil, err
	}
	taken, free := map[string]int{}, map[string]int{}
	for _, id := range ids {
		n, _, found, err := get[nic.NIC](e, nicKey(id))
		if err != nil {
			return nil, err
		}
		if found && n.Carries && !n.Alone {
			taken[n.Provider] += n.Seats
			free[n.Provider] += freeSeats(n)
		}
	}
	rooms := []api.NodeRoom{}
	for _, of := range slices.Sorted(maps.Keys(a.opts.Providers)) {
		_, its := node.Instances[of]
		if !its && len(node.Instances) > 0 {
			continue
		}
		room := api.NodeRoom{Provider: of, Instance: instanceOf(node, of)}
		at := pool.Machine{Provider: of, Instance: room.Instance}
		limits, err := a.limits(ctx, at)
		if err != nil {
			room.Problem = err.Error()
		} else {
			room.Slot, room.NICs = cmp.Or(limits.Slot, "slot"), limits.NICs
			room.Free = max(0, limits.Free-len(a.slots.on(at)))
		}
		if a.shares(of) || taken[of] > 0 {
			room.Seats = &api.SeatRoom{Taken: taken[of], Free: free[of], More: room.Free * max(0, limits.AddrsPerNIC-1)}
		}
		rooms = append(rooms, room)
		if a.hasTrunks(of) {
			rooms = append(rooms, a.memberRoom(ctx, of, room.Instance))
		}
	}
	return rooms, nil
}

// memberRoom is what the node's trunk has room for.
func (a *Allocator) memberRoom(ctx context.Context, of string, instance nic.InstanceID) api.NodeRoom {
	room := api.NodeRoom{Provider: of, Instance: instance}
	at := pool.Machine{Provider: of, Instance: instance, Members: true}
	limits, err := a.limits(ctx, at)
	if err != nil {
		room.Problem = err.Error()
		return room
	}
	room.Slot, room.NICs = cmp.Or(limits.Slot, "slot"), limits.NICs
	room.Free = max(0, limits.Free-len(a.slots.on(at)))
	return room
}

// hasTrunks says whether NICs of any network of the provider are members of trunks.
func (a *Allocator) hasTrunks(of string) bool {
	for _, n := range a.networks {
		if n.Provider == of && n.Cloud.Trunk {
			return true
		}
	}
	return false
}

// freeSeats is how many further seats there are on a NIC, once those addresses that
// cool down have done so.
func freeSeats(n nic.NIC) int {
	switch {
	case n.Closed || n.Alone:
		return 0
	case n.Phase != nic.PhasePlanned && n.Phase != nic.PhaseCarrying && n.Phase != nic.PhaseSpare && n.Phase != nic.PhaseCooling:
		return 0
	}
	return max(0, max(len(seatAddrs(n)), n.Spec.Cloud.Secondary)-n.Seats)
}

// shares says whether containers of any network of the provider share NICs.
func (a *Allocator) shares(of string) bool {
	for _, n := range a.networks {
		if n.Provider == of && n.Cloud.Shared {
			return true
		}
	}
	return false
}
