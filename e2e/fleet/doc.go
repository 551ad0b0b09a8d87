// Package fleet is the tests of several controllers with their records in etcd, and of
// agents on machines of their own that run real Docker engines.
package fleet
