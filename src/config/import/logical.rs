//! Logical models of ours that are about to be written.

use crate::config::draft::{Line, Yaml};

use super::target::Target;

/// A logical model to be written.
#[derive(Debug, Default)]
pub(super) struct Logical {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) strategy: Option<&'static str>,
    pub(super) aims: Vec<Aim>,
}

/// A target of a logical model to be written.
#[derive(Debug, Default)]
pub(super) struct Aim {
    /// The name of one of our providers.
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) weight: Option<f64>,
    pub(super) tier: u32,
    pub(super) region: Option<String>,
}

impl Logical {
    /// One more target; one that is there already gets its weight too.
    pub(super) fn aim(&mut self, aim: Aim) {
        let same = self
            .aims
            .iter_mut()
            .find(|known| known.provider == aim.provider && known.model == aim.model);
        match same {
            Some(known) => {
                let sum = known.weight.unwrap_or(1.0) + aim.weight.unwrap_or(1.0);
                known.weight = Some(sum);
            }
            None => self.aims.push(aim),
        }
    }

    /// The provider of ours whose name is in front of the slash, which would be asked instead.
    pub(super) fn shadow<'a>(&'a self, targets: &[Target]) -> Option<&'a str> {
        let (first, _) = self.name.split_once('/')?;
        let is_taken = targets.iter().any(|target| target.name == first);
        is_taken.then_some(first)
    }

    fn lines(self) -> Vec<Line> {
        let mut lines = Vec::new();
        let strategy = self.strategy.into_iter();
        lines.extend(strategy.map(|word| Line::text("strategy", word)));
        if !self.description.is_empty() {
            lines.push(Line::text("description", self.description));
        }
        let aims = self.aims.into_iter().map(Aim::lines).collect();
        lines.push(Line::new("targets", Yaml::Sections(aims)));
        lines
    }
}

impl Aim {
    fn lines(self) -> Vec<Line> {
        let mut lines = vec![
            Line::text("provider", self.provider),
            Line::text("model", self.model),
        ];
        let weight = self.weight.into_iter();
        lines.extend(weight.map(|weight| Line::plain("weight", format!("{weight:?}"))));
        if 0 < self.tier {
            lines.push(Line::plain("tier", self.tier));
        }
        let region = self.region.into_iter();
        lines.extend(region.map(|region| Line::text("region", region)));
        lines
    }
}

/// `models`; nothing where there is none.
pub(super) fn models(models: Vec<Logical>) -> Option<Line> {
    if models.is_empty() {
        return None;
    }
    let sections = models.into_iter().map(|mut model| {
        let name = std::mem::take(&mut model.name);
        Line::new(name, Yaml::Section(model.lines()))
    });
    Some(Line::new("models", Yaml::Section(sections.collect())))
}
