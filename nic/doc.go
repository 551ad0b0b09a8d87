// Package nic holds nicferry's words: the records, states, requests and reports
// that the code, the API, the labels, the CLI and the docs all call by the same
// names. It has no behaviour beyond parsing, validating and asking a state what
// it may become, and imports only the standard library.
//
// Three families, each with one writer:
//
//   - wanted, written by the controller: [Network], [NIC], [Claim], [Wanted];
//   - observed, written by a node or a provider: [Seen], [Observed], [NodeReport];
//   - asked, written by the user: [Request], which a container's labels carry.
package nic
