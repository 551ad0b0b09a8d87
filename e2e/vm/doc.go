// Package vm tests nicferry in virtual machines: libvirt plugs NICs into running
// guests, and an agent in each guest ferries them into its containers.
package vm
