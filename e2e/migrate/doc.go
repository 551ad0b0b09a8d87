// Package migrate has the scenarios of containers that move: two machines made of
// namespaces, each with Docker and an agent, on one switch with a peer outside.
package migrate
