package sriov

import (
	"cmp"
	"slices"
)

// A Numbering is how a node counts its PFs and so names their VFs. It says the same
// at each boot: by the config and by PCI addresses, and not by who came first.
type Numbering struct {
	// Separator is Naming's. With more than nine PFs names have it in any case.
	Separator bool
	// Listed are PFs by the name of their interface or by PCI address, from number 1
	// on, of which each keeps its number also while it is not there. All others come
	// after them by their addresses. Optional.
	Listed []string
}

// Number counts the PFs, by their addresses.
func (n Numbering) Number(pfs []PF) map[Address]int {
	numbers := map[Address]int{}
	var rest []Address
	for _, pf := range pfs {
		if i := slices.IndexFunc(n.Listed, pf.calledBy); i >= 0 {
			numbers[pf.Address] = i + 1
		} else {
			rest = append(rest, pf.Address)
		}
	}
	slices.SortFunc(rest, func(a, b Address) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	for i, a := range rest {
		numbers[a] = len(n.Listed) + i + 1
	}
	return numbers
}

// Names are the names of all VFs of a node by their addresses.
func (n Numbering) Names(pfs []PF) (map[Address]string, error) {
	numbers := n.Number(pfs)
	most := len(n.Listed)
	for _, number := range numbers {
		most = max(most, number)
	}
	naming := NamingFor(most)
	naming.Separator = naming.Separator || n.Separator
	all := map[Address]string{}
	for _, pf := range pfs {
		for _, vf := range pf.VFs {
			name, err := naming.VF(numbers[pf.Address], vf.Index+1)
			if err != nil {
				return nil, err
			}
			all[vf.Address] = name
		}
	}
	return all, nil
}

// calledBy says whether a config's word for a PF is this one's.
func (p PF) calledBy(word string) bool {
	if p.Name != "" && p.Name == word {
		return true
	}
	a, err := ParseAddress(word)
	return err == nil && a == p.Address
}
