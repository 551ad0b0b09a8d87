package nic

// A Card is a physical function that a node has VFs of, as its agent tells the
// controller, which chooses among them.
type Card struct {
	// PCI is the PF's address, and Name its interface on the host.
	PCI  string `json:"pci"`
	Name string `json:"name,omitempty"`
	// MAC is that interface's, which an ipvlan on it has too.
	MAC MAC `json:"mac,omitzero"`
	// NUMA is the node of the processors that it is next to; -1 for none.
	NUMA int `json:"numa"`
	// Carrier: its port has a link.
	Carrier bool `json:"carrier,omitempty"`
	// Master is the host's bond or bridge that its interface is a port of: no other link
	// can be made on that then. Empty for none.
	Master string   `json:"master,omitempty"`
	VFs    []CardVF `json:"vfs,omitempty" maxItems:"1024"`
}

// A CardVF is one of its VFs.
type CardVF struct {
	PCI string `json:"pci"`
	// Index is the kernel's number of it, from 0.
	Index int `json:"index"`
	// Name is what its interface is called on the host, by the node's rule.
	Name string `json:"name,omitempty"`
	// Used is how somebody has it, in the words of package sriov; "free" is nobody.
	// A VF that a claim has is told as the node finds it.
	Used string `json:"used"`
	// By names who, for people.
	By string `json:"by,omitempty"`
}
