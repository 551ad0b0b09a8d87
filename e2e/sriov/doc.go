// Package sriov tests virtual functions on a card that has some: the igb that QEMU
// emulates, in a guest, with the kernel's own drivers igb and igbvf.
package sriov
