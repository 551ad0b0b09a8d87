// Package sriov will choose a virtual function for a NIC: what a physical
// function offers, which of its VFs is taken, names and bonds. It is pure; what
// reads and writes the machine will live below it and be linked by the agent only.
package sriov
