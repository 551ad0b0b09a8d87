// Package lab makes one machine's playground for tests and the demo: a node
// with a Docker engine of its own, a network segment with a real DHCP server,
// an image without a registry, and snapshots that tell what was left behind.
//
// A node is a set of namespaces (network, mount, process ids), so that the
// machine's own network, /run and Docker are never touched, and so that the
// kernel ends everything in it when its first process ends. That first process
// dies with us, even when we are killed with SIGKILL. What the kernel does not
// remove, a directory and control groups, the next [Start] does.
package lab
