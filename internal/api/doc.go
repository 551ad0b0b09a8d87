// Package api is what goes over the wire between the controller, its agents and
// the CLI: requests, views, the list envelope, the watch's event and the one
// shape of error. Field names are stable from /v1 on.
package api
