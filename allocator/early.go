package allocator

import (
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// readyToNote says whether a NIC may be plugged in by a note on its node. While this
// controller reads what there was before, it does not know yet who waits for a slot: then
// only where the node's own records say that nobody does. Nothing but slots is at stake:
// addresses, MACs and NICs are each their own by the records that the commit creates.
func (a *Allocator) readyToNote(e *edit, noter provider.Noter, n nic.NIC, all bool) (bool, error) {
	if all && noter.Knows(n.Instance) {
		return true, nil
	}
	if !all && a.networks[n.Network].Pool.Max > 0 { // there may be one in reserve, or one on its way there
		return false, nil
	}
	there, quiet, err := a.slotsOf(e, n)
	if err != nil || !all && !quiet {
		return false, err
	}
	if !noter.Knows(n.Instance) {
		noter.Tell(n.Instance, there)
	}
	return true, nil
}

// slotsOf are the NICs that take slots where n is to be, by the records; quiet says that
// there is nothing to do for any of them, and that no claim is on the move, for which a
// slot would be kept on either node.
func (a *Allocator) slotsOf(e *edit, n nic.NIC) (there []nic.ID, quiet bool, err error) {
	moves, _, err := e.store.List(e.ctx, movingPrefix, "", 1)
	if err != nil {
		return nil, false, err
	}
	ids, err := idsOn(e, n.Node)
	if err != nil {
		return nil, false, err
	}
	quiet = len(moves) == 0
	for _, id := range ids {
		other, _, found, err := peek[nic.NIC](e, nicKey(id))
		if err != nil {
			return nil, false, err
		}
		quiet = quiet && found && a.restsNIC(other)
		if found && machineOf(other) == machineOf(n) && other.Phase != nic.PhasePlanned { // whose slot is promised
			there = append(there, id)
		}
	}
	return there, quiet, nil
}
