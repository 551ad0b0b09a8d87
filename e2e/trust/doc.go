// Package trust has the scenarios of who may do what between machines: real
// daemons that meet over TLS, each on a machine of its own made of namespaces.
package trust
