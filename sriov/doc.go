// Package sriov knows physical and virtual functions, names them, and chooses
// which to take. It is pure; what reads and writes the machine lives below it and
// is linked by the agent only.
//
// A card with SR-IOV is a physical function, PF, that can be cut into virtual
// functions, VFs: PCI devices of their own with interfaces of their own. VFs are
// numbered from 0 by the kernel and in selectors, and from 1 in names.
package sriov
