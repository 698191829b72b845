//! Depsets: ordered sets that share their parts, walked but never copied.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use thiserror::Error;

use crate::artifact::Artifact;
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::value::{Value, deepest};

/// The order in which a depset yields its elements. Bazel's names and meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// Unspecified, in fact postorder.
    Default,
    /// Children before parents, left to right.
    Postorder,
    /// Parents before children, left to right.
    Preorder,
    /// Parents before children, so that every element comes before what its node depends on.
    Topological,
}

impl Order {
    /// The order called `name` in Starlark.
    pub fn from_name(name: &str) -> Option<Order> {
        Some(match name {
            "default" => Order::Default,
            "postorder" => Order::Postorder,
            "preorder" => Order::Preorder,
            "topological" => Order::Topological,
            _ => return None,
        })
    }

    /// Its name in Starlark.
    pub fn name(self) -> &'static str {
        match self {
            Order::Default => "default",
            Order::Postorder => "postorder",
            Order::Preorder => "preorder",
            Order::Topological => "topological",
        }
    }
}

/// An immutable ordered set of [`Value`]s: own elements and other depsets. Cheap to clone.
///
/// A node is identified by its structural [`Fingerprint`]. No operation recurses: a chain of any
/// length can be built, walked, fingerprinted and dropped.
#[derive(Clone)]
pub struct Depset(Arc<Node>);

struct Node {
    fingerprint: Fingerprint,
    order: Order,
    direct: Box<[Value]>,
    transitive: Box<[Depset]>,
    /// The type of the first element.
    element_type: Option<&'static str>,
    depth: u32,
}

/// Two depsets of different orders were put into one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a depset of order `{}` cannot contain one of order `{}`", outer.name(), inner.name())]
pub struct OrderMismatch {
    /// The order of the new depset.
    pub outer: Order,
    /// The order of the one that does not fit in.
    pub inner: Order,
}

impl Depset {
    /// The depset of the elements `direct` and those of `transitive`.
    ///
    /// Empty depsets among `transitive` are dropped, and a depset that would only wrap another of
    /// the same order is that other one.
    pub fn new(
        order: Order,
        direct: Vec<Value>,
        transitive: Vec<Depset>,
    ) -> Result<Depset, OrderMismatch> {
        for inner in transitive.iter().map(Depset::order) {
            if inner != order && inner != Order::Default && order != Order::Default {
                return Err(OrderMismatch { outer: order, inner });
            }
        }
        let transitive: Box<[Depset]> =
            transitive.into_iter().filter(|part| !part.is_empty()).collect();
        match &*transitive {
            [] if direct.is_empty() => return Ok(Self::empty(order)),
            [only] if direct.is_empty() && only.order() == order => return Ok(only.clone()),
            _ => {}
        }
        Ok(Self::from_parts(order, direct.into(), transitive))
    }

    fn from_parts(order: Order, direct: Box<[Value]>, transitive: Box<[Depset]>) -> Depset {
        let mut builder = FingerprintBuilder::new("depset");
        builder.u64(order as u64).u64(direct.len() as u64);
        for value in &direct {
            value.add_to(&mut builder);
        }
        for part in &transitive {
            builder.part(&part.fingerprint());
        }
        let first = direct.first().map(Value::type_name);
        let element_type = first.or_else(|| transitive.first().and_then(Depset::element_type));
        let own = match deepest(direct.iter()) {
            0 => 0,
            depth => depth + 1,
        };
        let depth = transitive.iter().map(Depset::depth).fold(own, u32::max);
        let fingerprint = builder.finish();
        Depset(Arc::new(Node { fingerprint, order, direct, transitive, element_type, depth }))
    }

    /// The empty depset. All that are empty, of one order, are one.
    pub fn empty(order: Order) -> Depset {
        static EMPTY: [OnceLock<Depset>; 4] = [const { OnceLock::new() }; 4];
        let make = || Self::from_parts(order, Box::default(), Box::default());
        EMPTY[order as usize].get_or_init(make).clone()
    }

    /// A depset of artifacts alone.
    pub fn of_files(files: impl IntoIterator<Item = Artifact>) -> Depset {
        let direct = files.into_iter().map(Value::File).collect();
        Self::from_parts(Order::Default, direct, Box::default())
    }

    /// A depset of these elements alone.
    pub fn of_values(values: Vec<Value>) -> Depset {
        Self::from_parts(Order::Default, values.into(), Box::default())
    }

    /// The union of `parts`, in default order.
    pub fn union(parts: impl IntoIterator<Item = Depset>) -> Depset {
        let parts: Vec<Depset> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        match <[Depset; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) if parts.is_empty() => Self::empty(Order::Default),
            Err(parts) => Self::from_parts(Order::Default, Box::default(), parts.into()),
        }
    }

    /// The order of its elements.
    pub fn order(&self) -> Order {
        self.0.order
    }

    /// The structural identity of the node and everything below it.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The elements of this node itself.
    pub fn direct(&self) -> &[Value] {
        &self.0.direct
    }

    /// The name of the type of its first element; `None` if it is empty.
    pub fn element_type(&self) -> Option<&'static str> {
        self.0.element_type
    }

    /// How deep its elements hold others, see [`Value::depth`]. Parts add nothing: a chain of them
    /// is as good as one depset.
    pub fn depth(&self) -> u32 {
        self.0.depth
    }

    /// The depsets inside this one.
    pub fn transitive(&self) -> &[Depset] {
        &self.0.transitive
    }

    /// True when there is no element. Takes constant time.
    pub fn is_empty(&self) -> bool {
        // Empty parts are dropped when a node is made, so a node with parts has elements.
        self.0.direct.is_empty() && self.0.transitive.is_empty()
    }

    /// All nodes of this depset, each once, parts before wholes.
    pub fn nodes(&self) -> Vec<&Depset> {
        let mut done = HashSet::new();
        let mut nodes = Vec::new();
        let mut stack = vec![(self, 0)];
        while let Some((node, next)) = stack.pop() {
            if next == 0 && !done.insert(Arc::as_ptr(&node.0)) {
                continue;
            }
            match node.0.transitive.get(next) {
                Some(part) => {
                    stack.push((node, next + 1));
                    stack.push((part, 0));
                }
                None => nodes.push(node),
            }
        }
        nodes
    }

    /// The elements in order, each once.
    pub fn to_list(&self) -> Vec<Value> {
        let mut seen = HashSet::new();
        let mut list = Vec::new();
        let mut add = |values: &mut dyn Iterator<Item = &Value>| {
            for value in values {
                if seen.insert(value.clone()) {
                    list.push(value.clone());
                }
            }
        };
        match self.order() {
            Order::Default | Order::Postorder => {
                for node in self.nodes() {
                    add(&mut node.direct().iter());
                }
            }
            Order::Preorder => {
                let mut visited = HashSet::new();
                let mut stack = vec![self];
                while let Some(node) = stack.pop() {
                    if visited.insert(Arc::as_ptr(&node.0)) {
                        add(&mut node.direct().iter());
                        stack.extend(node.transitive().iter().rev());
                    }
                }
            }
            Order::Topological => {
                // The reverse of a right-to-left postorder puts every node before its parts.
                let mut visited = HashSet::new();
                let mut stack = vec![(self, 0)];
                while let Some((node, next)) = stack.pop() {
                    if next == 0 && !visited.insert(Arc::as_ptr(&node.0)) {
                        continue;
                    }
                    match node.transitive().iter().rev().nth(next) {
                        Some(part) => {
                            stack.push((node, next + 1));
                            stack.push((part, 0));
                        }
                        None => add(&mut node.direct().iter().rev()),
                    }
                }
                list.reverse();
            }
        }
        list
    }

    /// Whether an artifact is among the elements.
    pub fn contains_file(&self, artifact: &Artifact) -> bool {
        let is_it = |value: &Value| matches!(value, Value::File(file) if file == artifact);
        self.nodes().iter().any(|node| node.direct().iter().any(is_it))
    }

    /// The artifacts among the elements, in order.
    pub fn to_files(&self) -> Vec<Artifact> {
        self.to_list()
            .into_iter()
            .filter_map(|value| match value {
                Value::File(artifact) => Some(artifact),
                _ => None,
            })
            .collect()
    }
}

impl PartialEq for Depset {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint
    }
}

impl Eq for Depset {}

impl std::hash::Hash for Depset {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.fingerprint.hash(state);
    }
}

impl std::fmt::Debug for Depset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "depset({} direct, {} transitive)", self.0.direct.len(), self.0.transitive.len())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The derived drop would recurse once for each link of a chain.
        let mut stack = std::mem::take(&mut self.transitive).into_vec();
        while let Some(Depset(node)) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                stack.extend(std::mem::take(&mut node.transitive).into_vec());
            }
        }
    }
}

/// A depset is written as its fingerprint; the nodes themselves are written once each, by
/// [`SavedDepsets`], beside whatever mentions them.
impl Serialize for Depset {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITING.with_borrow_mut(|writing| {
            if let Some(pending) = writing {
                pending.push(self.clone());
            }
        });
        self.0.fingerprint.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Depset {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fingerprint = Fingerprint::deserialize(deserializer)?;
        READING.with_borrow(|nodes| nodes.get(&fingerprint).cloned()).ok_or_else(|| {
            serde::de::Error::custom(format!("depset {fingerprint} was not saved with its user"))
        })
    }
}

thread_local! {
    // serde has no place for a context, so a decoder's nodes are handed to it by its thread,
    // for the duration of `SavedDepsets::decode` and `SavedDepsets::encode` only.
    static READING: RefCell<HashMap<Fingerprint, Depset>> = RefCell::default();
    static WRITING: RefCell<Option<Vec<Depset>>> = const { RefCell::new(None) };
}

/// Data that mentions depsets, encoded together with all nodes it mentions: the nodes, parts before
/// wholes, then the data, then how many nodes there are and how many bytes they take.
pub struct SavedDepsets;

/// A node: its order, its parts, and its values, which mention only earlier nodes.
type SavedNode = (Order, Vec<Fingerprint>, ByteBuf);

impl SavedDepsets {
    /// Encodes `data` and every depset in it, after what is in `to`.
    pub fn encode(data: &impl Serialize, mut to: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        let begin = to.len();
        let (encoded, mentioned) = encode_noting_depsets(data)?;
        let mut done: HashSet<Fingerprint> = HashSet::new();
        // A node is written when everything it mentions, in parts or in values, has been.
        enum Step {
            Visit(Depset),
            Write(Fingerprint, SavedNode),
        }
        let mut stack: Vec<Step> = mentioned.into_iter().rev().map(Step::Visit).collect();
        while let Some(step) = stack.pop() {
            match step {
                Step::Visit(depset) if !done.contains(&depset.fingerprint()) => {
                    let (values, inside) = encode_noting_depsets(&depset.direct())?;
                    let parts = depset.transitive().iter().map(Depset::fingerprint).collect();
                    let node = (depset.order(), parts, ByteBuf::from(values));
                    stack.push(Step::Write(depset.fingerprint(), node));
                    stack.extend(inside.into_iter().map(Step::Visit));
                    stack.extend(depset.transitive().iter().cloned().map(Step::Visit));
                }
                Step::Visit(_) => {}
                Step::Write(fingerprint, node) => {
                    if done.insert(fingerprint) {
                        to = postcard::to_extend(&node, to)?;
                    }
                }
            }
        }
        let size = to.len() - begin;
        to.extend(encoded);
        to.extend((done.len() as u64).to_le_bytes());
        to.extend((size as u64).to_le_bytes());
        Ok(to)
    }

    /// Decodes what [`SavedDepsets::encode`] made. Fails on any other bytes.
    pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, postcard::Error> {
        let too_short = || postcard::Error::DeserializeUnexpectedEnd;
        let (bytes, size) = bytes.split_last_chunk::<8>().ok_or_else(too_short)?;
        let (bytes, count) = bytes.split_last_chunk::<8>().ok_or_else(too_short)?;
        let size = u64::from_le_bytes(*size) as usize;
        let (nodes, data) = bytes.split_at_checked(size).ok_or_else(too_short)?;
        READING.take();
        let result = decode_nodes(nodes, u64::from_le_bytes(*count))
            .and_then(|()| postcard::from_bytes(data));
        READING.take();
        result
    }
}

/// Encodes data and lists the depsets that it mentions, of which only the fingerprint is written.
pub(crate) fn encode_noting_depsets(
    data: &impl Serialize,
) -> Result<(Vec<u8>, Vec<Depset>), postcard::Error> {
    WRITING.set(Some(Vec::new()));
    let encoded = postcard::to_stdvec(data);
    let mentioned = WRITING.take().unwrap_or_default();
    Ok((encoded?, mentioned))
}

/// Runs `decode`, for which the depsets in `known` are there.
pub(crate) fn with_known_depsets<R>(
    known: &mut HashMap<Fingerprint, Depset>,
    decode: impl FnOnce() -> R,
) -> R {
    READING.set(std::mem::take(known));
    let result = decode();
    *known = READING.take();
    result
}

fn decode_nodes(mut bytes: &[u8], count: u64) -> Result<(), postcard::Error> {
    for _ in 0..count {
        let ((order, parts, values), rest): (SavedNode, _) = postcard::take_from_bytes(bytes)?;
        let direct: Vec<Value> = postcard::from_bytes(&values)?;
        let transitive: Option<Box<[Depset]>> = READING
            .with_borrow(|known| parts.iter().map(|part| known.get(part).cloned()).collect());
        let transitive = transitive.ok_or(postcard::Error::SerdeDeCustom)?;
        let depset = Depset::from_parts(order, direct.into(), transitive);
        READING.with_borrow_mut(|known| known.insert(depset.fingerprint(), depset));
        bytes = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(order: Order, direct: &[&str], transitive: &[&Depset]) -> Depset {
        let direct = direct.iter().map(|text| Value::str(text)).collect();
        Depset::new(order, direct, transitive.iter().map(|part| (*part).clone()).collect()).unwrap()
    }

    fn list(depset: &Depset) -> String {
        depset.to_list().iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_orders_are_those_of_bazels_documentation() {
        // depset(["a"], transitive = [b -> d, c -> d])
        for (order, expected) in [
            (Order::Default, "d b c a"),
            (Order::Postorder, "d b c a"),
            (Order::Preorder, "a b d c"),
            (Order::Topological, "a b c d"),
        ] {
            let d = set(order, &["d"], &[]);
            let b = set(order, &["b"], &[&d]);
            let c = set(order, &["c"], &[&d]);
            assert_eq!(list(&set(order, &["a"], &[&b, &c])), expected, "{order:?}");
        }
    }

    #[test]
    fn orders_do_not_mix() {
        let inner = set(Order::Preorder, &["x"], &[]);
        let error = Depset::new(Order::Postorder, vec![], vec![inner]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a depset of order `postorder` cannot contain one of order `preorder`"
        );
    }

    #[test]
    fn a_chain_of_half_a_million_is_walked_saved_and_dropped() {
        let mut chain = set(Order::Postorder, &["0"], &[]);
        for number in 1..500_000 {
            chain = set(Order::Postorder, &[&number.to_string()], &[&chain]);
        }
        assert_eq!(chain.to_list().len(), 500_000);
        let bytes = SavedDepsets::encode(&chain, Vec::new()).unwrap();
        let again: Depset = SavedDepsets::decode(&bytes).unwrap();
        assert_eq!(again, chain);
        assert_eq!(again.to_list()[499_999], Value::str("499999"));
    }

    #[test]
    fn depsets_inside_values_are_saved_too() {
        let inner = set(Order::Default, &["x"], &[]);
        let outer =
            Depset::new(Order::Default, vec![Value::List([Value::Depset(inner)].into())], vec![])
                .unwrap();
        let value = Value::List([Value::Depset(outer)].into());
        let again: Value =
            SavedDepsets::decode(&SavedDepsets::encode(&value, Vec::new()).unwrap()).unwrap();
        assert_eq!(again, value);
    }
}
