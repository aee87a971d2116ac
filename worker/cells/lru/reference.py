"""The linear recurrent unit in tensor operations.

    s_t = Lambda * s_{t-1} + gamma * (B x_t),  h_t = gelu(Re(C s_t) + D x_t)
    Lambda = exp(-exp(nu_log) + i exp(theta_log)),  gamma = exp(gamma_log)

|Lambda| is below 1 whatever is learned, so that no state can explode. The recurrence is linear;
what a layer computes beyond that is in gelu(a) = a Phi(a), Phi the normal distribution's. s_t is
what one step hands on to the next, and what the flow is measured by.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
N = T * B, I inputs, H hidden units, as many complex numbers in s_t.

Source:
    Orvieto et al., "Resurrecting recurrent neural networks for long sequences", ICML 2023. There D
    is diagonal, behind a linear encoder of the input; here it is a matrix, and there is none.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow, state_gradient_norm
from worker.cells.products import gradient_by_states
from worker.cells.scan import scan, scan_backward
from worker.training.parameters import LayerParameters


class LruReference:
    """An LRU layer."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        decay_K1H = _decay(parameters).unsqueeze(1)
        drive_KTBH = _drive(x_KTBI, parameters)
        initial_KBH = initial[0] if initial else torch.zeros_like(drive_KTBH[:, 0])
        drive_KTBH[:, 0].addcmul_(decay_K1H, initial_KBH)
        decay_KT1H = decay_K1H.unsqueeze(1).expand(-1, x_KTBI.shape[1], -1, -1)
        state_KTBH = scan(decay_KT1H, drive_KTBH)
        output_KTBH = _product(state_KTBH.real, parameters["c_real"])
        output_KTBH -= _product(state_KTBH.imag, parameters["c_imag"])
        output_KTBH += _product(x_KTBI, parameters["d"])
        return _LruPass(
            h_KTBH=functional.gelu(output_KTBH),
            final_state=(state_KTBH[:, -1],),
            x_KTBI=x_KTBI,
            initial_KBH=initial_KBH,
            parameters=parameters,
            decay_KT1H=decay_KT1H,
            state_KTBH=state_KTBH,
            output_KTBH=output_KTBH,
        )


@dataclass(frozen=True)
class _LruPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial_KBH: Tensor
    parameters: LayerParameters
    decay_KT1H: Tensor
    state_KTBH: Tensor
    output_KTBH: Tensor  # before the gelu

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        delta_KSBH = grad_h_KSBH * _gelu_slope(_last(self.output_KTBH, grad_h_KSBH.shape[1]))
        grad_s_KTBH = self._grad_state(delta_KSBH, grad_final)
        decay_terms_KTH = self._decay_terms(grad_s_KTBH)
        self._fill_output_gradients(delta_KSBH, gradients)
        self._fill_input_gradients(grad_s_KTBH, gradients)
        self._fill_decay_gradients(decay_terms_KTH.sum(dim=1), gradients)
        return LayerBackward(
            grad_x_KTBI=self._grad_x(delta_KSBH, grad_s_KTBH) if needs_grad_x else None,
            grad_initial=(grad_s_KTBH[:, 0] * self.decay_KT1H[:, 0].conj(),),
            flow=_flow(grad_s_KTBH, decay_terms_KTH) if measure else None,
        )

    def _grad_state(self, delta_KSBH: Tensor, grad_final: State | None) -> Tensor:
        """The whole gradient by s_t, complex: (K, T, B, H)."""
        by_answers_KSBH = torch.complex(
            _product(delta_KSBH, self.parameters["c_real"].transpose(1, 2)),
            -_product(delta_KSBH, self.parameters["c_imag"].transpose(1, 2)),
        )
        grad_final_KBH = grad_final[0] if grad_final else None
        outside_KTBH = gradient_by_states(by_answers_KSBH, self.h_KTBH.shape[1], grad_final_KBH)
        return scan_backward(self.decay_KT1H, outside_KTBH)

    def _decay_terms(self, grad_s_KTBH: Tensor) -> Tensor:
        """The term of dL/dLambda through each time step, complex: (K, T, H)."""
        before_KTBH = torch.cat([self.initial_KBH.unsqueeze(1), self.state_KTBH[:, :-1]], dim=1)
        return (grad_s_KTBH * before_KTBH.conj()).sum(dim=2)

    def _fill_output_gradients(self, delta_KSBH: Tensor, gradients: LayerParameters) -> None:
        answered = delta_KSBH.shape[1]
        state_KSBH = _last(self.state_KTBH, answered)
        gradients["c_real"].copy_(_sum_of_products(delta_KSBH, state_KSBH.real))
        gradients["c_imag"].copy_(_sum_of_products(-delta_KSBH, state_KSBH.imag))
        gradients["d"].copy_(_sum_of_products(delta_KSBH, _last(self.x_KTBI, answered)))

    def _fill_input_gradients(self, grad_s_KTBH: Tensor, gradients: LayerParameters) -> None:
        parts = {"b_real": grad_s_KTBH.real, "b_imag": grad_s_KTBH.imag}
        gamma_KH1 = self.parameters["gamma_log"].exp().unsqueeze(2)
        gradients["gamma_log"].zero_()
        for name, part_KTBH in parts.items():
            torch.mul(_sum_of_products(part_KTBH, self.x_KTBI), gamma_KH1, out=gradients[name])
            gradients["gamma_log"] += (gradients[name] * self.parameters[name]).sum(dim=2)

    def _fill_decay_gradients(self, grad_decay_KH: Tensor, gradients: LayerParameters) -> None:
        """From dL/dLambda: dL = Re(conj(dL/dLambda) dLambda)."""
        change_KH = grad_decay_KH.conj() * self.decay_KT1H[:, 0, 0]
        gradients["nu_log"].copy_(-self.parameters["nu_log"].exp() * change_KH.real)
        gradients["theta_log"].copy_(-self.parameters["theta_log"].exp() * change_KH.imag)

    def _grad_x(self, delta_KSBH: Tensor, grad_s_KTBH: Tensor) -> Tensor:
        parameters = self.parameters
        drive_KTBH = grad_s_KTBH * parameters["gamma_log"].exp()[:, None, None]
        grad_x_KTBI = _product(drive_KTBH.real, parameters["b_real"].transpose(1, 2))
        grad_x_KTBI += _product(drive_KTBH.imag, parameters["b_imag"].transpose(1, 2))
        answers_KSBI = _last(grad_x_KTBI, delta_KSBH.shape[1])
        answers_KSBI += _product(delta_KSBH, parameters["d"].transpose(1, 2))
        return grad_x_KTBI


def _decay(parameters: LayerParameters) -> Tensor:
    """Lambda, (K, H) complex."""
    return torch.polar((-parameters["nu_log"].exp()).exp(), parameters["theta_log"].exp())


def _drive(x_KTBI: Tensor, parameters: LayerParameters) -> Tensor:
    """What is added to the state, gamma * (B x_t), complex: (K, T, B, H)."""
    real_KTBH = _product(x_KTBI, parameters["b_real"])
    imag_KTBH = _product(x_KTBI, parameters["b_imag"])
    gamma_K11H = parameters["gamma_log"].exp()[:, None, None]
    return torch.complex(real_KTBH, imag_KTBH).mul_(gamma_K11H)


def _flow(grad_s_KTBH: Tensor, decay_terms_KTH: Tensor) -> LayerFlow:
    return LayerFlow(
        grad_norm_KT=state_gradient_norm([grad_s_KTBH.real, grad_s_KTBH.imag]),
        weight_term_norm_KT=state_gradient_norm(
            [decay_terms_KTH.real.unsqueeze(2), decay_terms_KTH.imag.unsqueeze(2)]
        ),
        saturation_K=torch.zeros(len(grad_s_KTBH), dtype=torch.float64, device=grad_s_KTBH.device),
        silent_KH=None,
    )


def _gelu_slope(a_KSBH: Tensor) -> Tensor:
    """Phi(a) + a * phi(a), phi the normal distribution's density."""
    distribution_KSBH = 0.5 * (1 + torch.erf(a_KSBH / math.sqrt(2)))
    density_KSBH = torch.exp(-0.5 * a_KSBH.square()) / math.sqrt(2 * math.pi)
    return distribution_KSBH + a_KSBH * density_KSBH


def _last(tensor_KTBH: Tensor, count: int) -> Tensor:
    """The last time steps; there may be none."""
    return tensor_KTBH[:, tensor_KTBH.shape[1] - count :]


def _product(tensor_KTBI: Tensor, weight_KHI: Tensor) -> Tensor:
    """W x_t for all time steps: (K, T, B, H)."""
    product_KNH = torch.bmm(tensor_KTBI.flatten(1, 2), weight_KHI.transpose(1, 2))
    return product_KNH.view(*tensor_KTBI.shape[:3], weight_KHI.shape[1])


def _sum_of_products(delta_KTBH: Tensor, x_KTBI: Tensor) -> Tensor:
    """Sum over time steps and sequences of delta x^T: (K, H, I)."""
    return torch.bmm(delta_KTBH.flatten(1, 2).transpose(1, 2), x_KTBI.flatten(1, 2))
