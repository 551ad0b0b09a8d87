// Package server serves the API over HTTP, with an OpenAPI document made from
// the Go types. It is the only importer of huma.
package server
