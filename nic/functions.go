package nic

// Functions is what a network asks of cards that are cut into VFs; zero where its
// NICs are none.
type Functions struct {
	// PFs select the VFs that may be taken, in the words of package sriov, such as
	// "ens1f0#0-3": one list for a VF, and one for each of a bond's members, which have
	// the same number on their cards.
	PFs [][]string `json:"pfs,omitempty"`
	// Bond is how members share the traffic; empty for a VF alone.
	Bond BondMode `json:"bond,omitempty"`
	// Monitor is how often the members' links are looked at; 0 is as in Bond.
	Monitor Duration `json:"monitor,omitzero"`
	// Set is what PFs set of each VF. Its MAC is the claim's, and empty here.
	Set VFSettings `json:"set,omitzero"`
	// UserSpace: the VF is bound to vfio-pci, for a program in the container that
	// drives it itself. No interface comes into the container.
	UserSpace bool `json:"userSpace,omitempty"`
	// Fallback is what a container gets when no VF is free, the first that can be
	// made: Macvlan or Ipvlan on the PF. None is to refuse.
	Fallback []DeviceKind `json:"fallback,omitempty"`
}

// IsZero says whether NICs are no VFs.
func (f Functions) IsZero() bool { return len(f.PFs) == 0 }
