package libvirt

import (
	"cmp"
	"context"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The MTUs that a tap and a virtio card can have; 0 leaves the switch's.
const (
	minMTU = 68
	maxMTU = 65535
)

// Place implements provider.Placer: it settles the node and what the port
// leaves open. A spec that no domain could be given is ErrInvalid.
func (p *Provider) Place(_ context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error) {
	if err := check(spec); err != nil {
		return nic.Spec{}, p.failing("place", spec.NIC)(err)
	}
	spec.Node = node.Name
	spec.Port.Model = cmp.Or(spec.Port.Model, nic.ModelVirtio)
	return spec, nil
}

// check refuses a spec that no domain could be given, with every fault in it.
func check(spec nic.Spec) error {
	var faults nic.Faults
	if _, err := nic.ParseID(string(spec.NIC)); err != nil {
		faults.AddErr("nic", err)
	}
	switch {
	case spec.MAC.IsZero():
		faults.Add("mac", "is missing: libvirt would draw one for the running and another for the stored domain")
	case spec.MAC[0]&1 == 1:
		faults.Add("mac", "%s is multicast: a NIC needs a unicast address", spec.MAC)
	}
	if mtu := spec.MTU; mtu != 0 && (mtu < minMTU || mtu > maxMTU) {
		faults.Add("mtu", "%d: want %d to %d, or 0 for the switch's", mtu, minMTU, maxMTU)
	}
	if spec.Device.Kind.Made() {
		faults.Add("device.kind", "%q is for NICs that the node makes; this one is plugged in", spec.Device.Kind)
	}
	port := spec.Port.Check()
	for _, f := range nic.AsFaults(port) {
		faults.Add("port."+f.Field, "%s", f.Problem)
	}
	if err := faults.Err(); err != nil {
		return &provider.Error{Kind: provider.ErrInvalid, Err: err}
	}
	return nil
}

// recipe is how the node finds the NIC.
func recipe(spec nic.Spec, mac nic.MAC) nic.Device {
	return nic.Device{Kind: nic.Found, MAC: mac, MTU: spec.MTU}
}

// card is what the domain is given.
func card(spec nic.Spec) virt.Interface {
	return virt.Interface{Alias: alias(spec.NIC), MAC: spec.MAC, Port: spec.Port, MTU: spec.MTU}
}
