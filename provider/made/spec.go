package made

import (
	"cmp"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The MTUs that the kernel lets a link have; 0 leaves its own.
const (
	minMTU = 68
	maxMTU = 65535
)

// Recipe is what the node is told to make: the spec's device, with its MAC and MTU.
func Recipe(spec nic.Spec) nic.Device {
	d := spec.Device
	if d.Kind != nic.Ipvlan { // which has its parent's MAC
		d.MAC = spec.MAC
	}
	d.MTU = cmp.Or(d.MTU, spec.MTU)
	return d
}

// Check tells what is wrong with a spec, placed or not, whatever the device.
func Check(spec nic.Spec) nic.Faults {
	var faults nic.Faults
	if _, err := nic.ParseID(string(spec.NIC)); err != nil {
		faults.AddErr("nic", err)
	}
	d := spec.Device
	switch {
	case spec.MAC.IsZero():
		faults.Add("mac", "is missing: a NIC that the node makes is given its MAC")
	case spec.MAC[0]&1 == 1:
		faults.Add("mac", "%s is multicast: a NIC needs a unicast address", spec.MAC)
	case d.Kind != nic.Ipvlan && !d.MAC.IsZero() && d.MAC != spec.MAC:
		faults.Add("device.mac", "%s differs from the spec's %s", d.MAC, spec.MAC)
	}
	if d.MTU != 0 && spec.MTU != 0 && d.MTU != spec.MTU {
		faults.Add("device.mtu", "%d differs from the spec's %d", d.MTU, spec.MTU)
	}
	if mtu := cmp.Or(d.MTU, spec.MTU); mtu != 0 && (mtu < minMTU || mtu > maxMTU) {
		faults.Add("mtu", "%d: want %d to %d, or 0 for the kernel's", mtu, minMTU, maxMTU)
	}
	return faults
}

// Invalid is the error for faults of a spec, nil without any.
func Invalid(faults nic.Faults) error {
	if err := faults.Err(); err != nil {
		return &provider.Error{Kind: provider.ErrInvalid, Err: err}
	}
	return nil
}

// CheckPlaced refuses a placed spec that no node could carry out, with every fault
// in it.
func (n *NICs) CheckPlaced(spec nic.Spec) error {
	faults := Check(spec)
	n.opts.Shape(&faults, spec)
	return Invalid(faults)
}
