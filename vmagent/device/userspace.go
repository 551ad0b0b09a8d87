//go:build linux

package device

import (
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/nic"
)

// An Opener is Functions that hand VFs to programs in user space, by Apply, and take
// them back, by Restore.
type Opener interface {
	// Device is what a program opens to drive the VF, such as /dev/vfio/12.
	Device(pci string) (string, error)
}

// Opens is what a program opens to drive the NIC itself; empty for a NIC that has an
// interface.
func (m *Maker) Opens(d nic.Device) (string, error) {
	if d.Kind != nic.SRIOV || !d.VF.UserSpace {
		return "", nil
	}
	if err := m.canSet(); err != nil {
		return "", err
	}
	o, ok := m.functions.(Opener)
	if !ok {
		return "", errors.New("this agent hands no VFs to programs in user space")
	}
	return o.Device(d.VF.PCI)
}

// checkUserSpace refuses what the kernel cannot make of VFs that it has given away.
func checkUserSpace(d nic.Device) error {
	for _, v := range d.Bond.Members {
		if v.UserSpace {
			return fmt.Errorf("VF %s: the kernel makes no bond of VFs in user space, which have no interfaces: a program joins them itself "+
				"(DPDK net_bonding), from two networks", v.PCI)
		}
	}
	return nil
}
