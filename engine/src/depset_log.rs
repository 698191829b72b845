//! Depsets in a log: every node is written once, whoever mentions it, and read when it is needed.
//!
//! Where targets of a chain are written one after the other, each with the depset of all below it,
//! a copy of the whole depset with each of them would be as many nodes as the square of the chain.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::depset::{Depset, Order, encode_noting_depsets, with_known_depsets};
use crate::digest::Fingerprint;
use crate::value::Value;

/// What is known of the nodes of a log.
#[derive(Default)]
pub struct DepsetLog {
    /// Nodes that were read and not yet needed.
    saved: HashMap<Fingerprint, SavedNode>,
    /// Nodes that are in use.
    live: HashMap<Fingerprint, Depset>,
}

/// A node as it is written.
#[derive(Serialize, Deserialize)]
struct SavedNode {
    fingerprint: Fingerprint,
    order: Order,
    #[serde(with = "serde_bytes")]
    values: Vec<u8>,
    /// The depsets inside its own elements.
    inside: Vec<Fingerprint>,
    parts: Vec<Fingerprint>,
}

/// Encoded data, with the depsets that it mentions.
pub struct Encoded {
    data: Vec<u8>,
    mentioned: Vec<Depset>,
}

impl Encoded {
    /// Encodes data. That can be done by many threads at once.
    pub fn new(data: &impl Serialize) -> Result<Encoded, postcard::Error> {
        let (bytes, mentioned) = encode_noting_depsets(data)?;
        let fingerprints: Vec<Fingerprint> = mentioned.iter().map(Depset::fingerprint).collect();
        let mut data = postcard::to_stdvec(&fingerprints)?;
        data.extend(bytes);
        Ok(Encoded { data, mentioned })
    }
}

/// Data with the nodes that it needs and that were not written before.
#[derive(Debug)]
pub struct WithNodes {
    /// A record for each new node, to be written before the data.
    pub nodes: Vec<Vec<u8>>,
    /// The data.
    pub data: Vec<u8>,
}

impl DepsetLog {
    /// Takes the record of a node. Anything else is ignored.
    pub fn add_node(&mut self, record: &[u8]) {
        if let Ok(node) = postcard::from_bytes::<SavedNode>(record) {
            self.saved.insert(node.fingerprint, node);
        }
    }

    /// Adds to encoded data those nodes that the log does not have.
    pub fn with_nodes(&mut self, encoded: Encoded) -> Result<WithNodes, postcard::Error> {
        enum Step {
            Visit(Depset),
            Write(Depset, SavedNode),
        }
        let mut nodes = Vec::new();
        let mut stack: Vec<Step> = encoded.mentioned.into_iter().map(Step::Visit).collect();
        while let Some(step) = stack.pop() {
            match step {
                Step::Visit(depset) => {
                    let fingerprint = depset.fingerprint();
                    if self.has(&fingerprint) {
                        continue;
                    }
                    let (values, inside) = encode_noting_depsets(&depset.direct())?;
                    let node = SavedNode {
                        fingerprint,
                        order: depset.order(),
                        values,
                        inside: inside.iter().map(Depset::fingerprint).collect(),
                        parts: depset.transitive().iter().map(Depset::fingerprint).collect(),
                    };
                    let parts: Vec<Depset> = depset.transitive().to_vec();
                    stack.push(Step::Write(depset, node));
                    stack.extend(inside.into_iter().chain(parts).map(Step::Visit));
                }
                Step::Write(depset, node) => {
                    if !self.has(&node.fingerprint) {
                        nodes.push(postcard::to_stdvec(&node)?);
                        self.live.insert(node.fingerprint, depset);
                    }
                }
            }
        }
        Ok(WithNodes { nodes, data: encoded.data })
    }

    fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.live.contains_key(fingerprint) || self.saved.contains_key(fingerprint)
    }

    /// Decodes [`Encoded`] data; `None` if it is damaged or a node is missing.
    pub fn decode<T: for<'de> Deserialize<'de>>(&mut self, data: &[u8]) -> Option<T> {
        let (fingerprints, bytes) = postcard::take_from_bytes(data).ok()?;
        self.revive(fingerprints)?;
        with_known_depsets(&mut self.live, || postcard::from_bytes(bytes).ok())
    }

    /// Makes nodes live, and all that they need first.
    fn revive(&mut self, fingerprints: Vec<Fingerprint>) -> Option<()> {
        let mut entered = HashSet::new();
        let mut stack = fingerprints;
        while let Some(fingerprint) = stack.last().copied() {
            if self.live.contains_key(&fingerprint) {
                stack.pop();
                continue;
            }
            let node = self.saved.get(&fingerprint)?;
            if entered.insert(fingerprint) {
                stack.extend(node.inside.iter().chain(&node.parts));
                continue;
            }
            let node = self.saved.remove(&fingerprint)?;
            let values: Vec<Value> =
                with_known_depsets(&mut self.live, || postcard::from_bytes(&node.values).ok())?;
            let parts: Option<Vec<Depset>> =
                node.parts.iter().map(|part| self.live.get(part).cloned()).collect();
            let depset = Depset::new(node.order, values, parts?).ok()?;
            self.live.insert(fingerprint, depset);
            stack.pop();
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(log: &mut DepsetLog, data: &impl Serialize) -> WithNodes {
        log.with_nodes(Encoded::new(data).unwrap()).unwrap()
    }

    fn chain(length: usize) -> Vec<Depset> {
        let mut links: Vec<Depset> = Vec::new();
        for number in 0..length {
            let below = links.last().cloned();
            let direct = vec![Value::str(&number.to_string())];
            links.push(Depset::new(Order::Postorder, direct, below.into_iter().collect()).unwrap());
        }
        links
    }

    #[test]
    fn a_node_is_written_once_and_read_when_it_is_needed() {
        let links = chain(10_000);
        let mut log = DepsetLog::default();
        let written: Vec<WithNodes> = links.iter().map(|link| encode(&mut log, link)).collect();
        assert!(written.iter().all(|one| one.nodes.len() == 1));
        let mut again = DepsetLog::default();
        for node in written.iter().flat_map(|one| &one.nodes) {
            again.add_node(node);
        }
        let last: Depset = again.decode(&written[9_999].data).unwrap();
        assert_eq!(last, links[9_999]);
        assert_eq!(last.to_list().len(), 10_000);
        // What was read is not written a second time.
        assert!(encode(&mut again, &last).nodes.is_empty());
    }

    #[test]
    fn depsets_inside_values_are_found_and_a_missing_node_is_no_data() {
        let inner = chain(2).pop().unwrap();
        let outer =
            Depset::new(Order::Default, vec![Value::List([Value::Depset(inner)].into())], vec![])
                .unwrap();
        let mut log = DepsetLog::default();
        let written = encode(&mut log, &Value::Depset(outer.clone()));
        assert_eq!(written.nodes.len(), 3);
        let mut again = DepsetLog::default();
        written.nodes.iter().for_each(|node| again.add_node(node));
        assert_eq!(again.decode::<Value>(&written.data), Some(Value::Depset(outer)));
        let mut torn = DepsetLog::default();
        written.nodes[1..].iter().for_each(|node| torn.add_node(node));
        assert_eq!(torn.decode::<Value>(&written.data), None);
    }
}
